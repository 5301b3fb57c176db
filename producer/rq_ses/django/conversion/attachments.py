"""Attachments of a Django mail: read once, and as SES's Simple content has them, where it can."""

from __future__ import annotations

from email.message import Message as MimeMessage
from typing import Any, Final

from django.core.mail import EmailMessage
from django.utils.functional import Promise

from rq_ses.django.conversion.text import text_of
from rq_ses.message.attachment import Attachment
from rq_ses.message.filetype import UNKNOWN, filetype
from rq_ses.message.mime.comments import plainly_encoded
from rq_ses.text.invalid import shown

Part = MimeMessage | tuple[str, Any, str]
"""A ready part, or a file's name ("" without one), content and type. Of text the content is a str."""

_HEADERS: Final = frozenset(
    {
        "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "content-description", "mime-version",
    }
)  # fmt: skip
"""Those of a part that an Attachment says, too."""

_PARAMETERS: Final = frozenset({"name", "charset"})


def read_part(given: Any) -> Part:
    """Return an attachment of a Django mail. Raises TypeError for content that is no text, bytes or mail."""
    if isinstance(given, MimeMessage):
        return given
    filename, content, kind = (*given, None)[:3]
    name = text_of(filename) if filename else ""
    kind = text_of(kind) if kind else (filetype(name) if name else UNKNOWN)
    if isinstance(content, bytearray | memoryview):
        content = bytes(content)
    elif isinstance(content, Promise):
        content = text_of(content)
    if isinstance(content, EmailMessage | MimeMessage):
        if kind.lower().startswith("message/"):
            return name, content, kind
    elif isinstance(content, str):
        return name, content if _is_text(kind) else content.encode(), kind
    elif isinstance(content, bytes):
        return _read_bytes(name, content, kind)
    raise TypeError(
        f"attachments: the content of {shown(name)} ({shown(kind)}) is a {type(content).__name__}: "
        "give text or bytes, such as file.read(), or a mail as message/rfc822"
    )


def _read_bytes(name: str, content: bytes, kind: str) -> Part:
    if not _is_text(kind):
        return name, content, kind
    try:
        return name, content.decode(_charset(kind)), kind
    except (UnicodeDecodeError, LookupError):
        # As Django does: read as what it isn't, it would be damaged.
        return name, content, UNKNOWN


def as_attachment(part: Part) -> Attachment | None:
    """Return the part as SES's Simple content has it; None if that can't say all of it.

    Raises pydantic.ValidationError for a name or type of another form.
    """
    if isinstance(part, MimeMessage):
        return _of_mime(part)
    name, content, kind = part
    if not name or kind.lower().startswith(("message/", "multipart/")):
        return None
    if isinstance(content, str):
        try:
            content = content.encode(_charset(kind))
        except (UnicodeEncodeError, LookupError):
            return None
        kind = kind if "charset=" in kind.lower() else f'{kind}; charset="utf-8"'
    return Attachment(filename=name, content=content, content_type=kind)


def _of_mime(part: MimeMessage) -> Attachment | None:
    kind, name = part.get_content_type(), part.get_filename()
    given = {name for name, _ in part.get_params([])[1:]}
    charset = part.get_param("charset")
    if (
        not name
        or part.is_multipart()
        or kind.startswith("message/")
        or not given <= _PARAMETERS
        or not {header.lower() for header in part} <= _HEADERS
        or not plainly_encoded(part)
        or "(" in f"{kind} {charset}"  # a comment, which would be part of the type
    ):
        return None
    content_id = text_of(part["Content-ID"] or "").strip().removeprefix("<").removesuffix(">")
    # Simple content shows a part inline if it has an id, and only then.
    if (part.get_content_disposition() == "inline") is not bool(content_id):
        return None
    return Attachment(
        filename=name,
        content=part.get_payload(decode=True),
        content_type=f'{kind}; charset="{charset}"' if charset else kind,
        content_id=content_id or None,
        description=text_of(part["Content-Description"]) if part["Content-Description"] else None,
    )


def _is_text(kind: str) -> bool:
    return kind.lower().startswith("text/")


def _charset(kind: str) -> str:
    """Return the charset that a type of text names, or UTF-8."""
    header = MimeMessage()
    header["Content-Type"] = kind
    return header.get_content_charset("utf-8")
