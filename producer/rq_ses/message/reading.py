"""Messages as they stand in jobs, exports and lines of JSON: which kind each is, and what it says."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Any, Final

from rq_ses.message.message import Message
from rq_ses.message.mime.header import HeaderBlock
from rq_ses.message.raw import RawMessage

AnyMessage = Message | RawMessage

_HEADER_LIMIT: Final = 64 * 1024
"""Characters of base64 in which the header of a mail is looked for that isn't read whole."""


def read_message(fields: Mapping[str, Any]) -> AnyMessage:
    """Return the message whose fields json.loads has read: a RawMessage if it has `data`, else a Message.

    Raises pydantic.ValidationError.
    """
    return RawMessage.from_payload(fields) if "data" in fields else Message.from_payload(fields)


def stated(fields: Mapping[str, Any], name: str, header: str) -> Any:
    """Return a field of a payload that nobody has checked; without it, what the MIME has in that header."""
    value, data = fields.get(name), fields.get("data")
    if value is not None or not isinstance(data, str):
        return value
    try:
        mime = b64decode(data[:_HEADER_LIMIT])
    except (Error, ValueError):
        return None
    return (HeaderBlock.of(mime) or HeaderBlock(mime)).first(header)
