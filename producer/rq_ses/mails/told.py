"""What SES has told of a mail, and what its result says besides; each value is checked as it is read."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses.server.stored import line, moment
from rq_ses.text.plaintext import one_line
from rq_ses.tracking import FEEDBACK, MailEvent

_STATE: Final = b"state"
"""Field of the hash with the worst state (rq_ses/feedback/store.lua); the others are events."""

_WORD: Final = 100
_ADDRESS: Final = 400
_TEXT: Final = 500
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


def events_in(stored: Mapping[bytes, bytes]) -> tuple[MailEvent, ...]:
    """Return the events that are stored of a mail, the earliest first; what can't be read is left out."""
    found = [_event(raw) for name, raw in stored.items() if name != _STATE]
    return tuple(sorted(filter(None, found), key=lambda event: (event.at or _EARLIEST, event.kind)))


def feedback_in(stored: Mapping[bytes, bytes]) -> str:
    """Return the worst state that the events tell of; "" if they tell of none."""
    return line(stored.get(_STATE), _WORD)


def merged(stored: Mapping[bytes, bytes], further: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Return what two hashes tell of one mail; the same event is called the same in both."""
    if not further:
        return stored
    states = sorted((one.get(_STATE, b"") for one in (stored, further)), key=_rank)
    return {**further, **stored, _STATE: states[-1]}


def message_id_in(result: Mapping[bytes, bytes]) -> str:
    """Return SES's MessageId in RQ's result of a mail; "" if there is none."""
    return _plain(returned(result).get("message_id"), _WORD)


def suppressed_in(result: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the recipients that RQ's result of a mail says it was not sent to."""
    found = returned(result).get("suppressed")
    return tuple(_plain(one, _ADDRESS) for one in (found if isinstance(found, list) else ()))


def _rank(state: bytes) -> int:
    name = state.decode("utf-8", "replace")
    return FEEDBACK.index(name) if name in FEEDBACK else -1


def returned(result: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return what RQ's result says of a mail that was sent; nothing if it says, or can be read as, none."""
    if result.get(b"type") != b"1":
        return {}
    try:
        said = json.loads(b64decode(result.get(b"return_value", b"")))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _event(raw: bytes) -> MailEvent | None:
    try:
        told = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("kind"), str):
        return None
    return MailEvent(
        kind=_plain(told["kind"], _WORD),
        at=moment(told.get("at")),
        recipient=_plain(told.get("recipient"), _ADDRESS),
        type=_plain(told.get("type"), _WORD),
        subtype=_plain(told.get("subtype"), _WORD),
        detail=_plain(told.get("detail"), _TEXT),
        message_id=_plain(told.get("message_id"), _WORD),
    )


def _plain(value: Any, limit: int) -> str:
    return one_line(value, limit) if isinstance(value, str) else ""
