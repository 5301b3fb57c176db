"""Text that goes into a mail's header: the rules for each kind, so that none can break out of its line.

Every function returns what it is given, or raises ValueError with the value and the remedy. The limits are
SES's (API model of SES v2: MessageHeader, MessageTag, Attachment, CreateConfigurationSet).
"""

from __future__ import annotations

import re
from typing import Final

from rq_ses.text.invalid import shown

MAX_HEADERS: Final = 15
_HEADER_LINE: Final = 996
"""Characters of a header's name and value together."""

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HEADER_NAME: Final = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE: Final = re.compile(r"[ -~]{1,995}")
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CONFIGURATION_SET: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTENT_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *;[ -~]*)?", re.ASCII)
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,78}")

_SET_BY_SES: Final = "leave it out, SES writes it"
_RESERVED: Final = {
    "from": "use the field sender",
    "to": "use the field to",
    "cc": "use the field cc",
    "bcc": "use the field bcc",
    "reply-to": "use the field reply_to",
    "subject": "use the field subject",
    "date": _SET_BY_SES,
    "message-id": _SET_BY_SES,
    "mime-version": _SET_BY_SES,
    "content-type": _SET_BY_SES,
    "content-transfer-encoding": _SET_BY_SES,
    "content-disposition": _SET_BY_SES,
    "content-id": _SET_BY_SES,
    "return-path": _SET_BY_SES,
    "received": _SET_BY_SES,
    "dkim-signature": _SET_BY_SES,
    "x-ses-configuration-set": "use the field configuration_set",
    "x-ses-message-tags": "use the field tags",
}


def line(text: str) -> str:
    """Check that text is one line: no control characters, line separators or lone surrogates."""
    if _UNFIT.search(text):
        raise ValueError(
            f"{shown(text)} holds a line break, a control character or a lone surrogate: remove it"
        )
    return text


def header_name(name: str) -> str:
    """Check a header's name, which must not be one that SES or a field of the message sets."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not a header's name: use 1-126 printable ASCII characters, no space or colon"
        )
    remedy = _RESERVED.get(name.lower())
    if remedy:
        raise ValueError(f"{shown(name)} is not a header to set: {remedy}")
    return name


def header_value(value: str) -> str:
    """Check a header's value."""
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is not a header's value: use 1-995 printable ASCII characters, "
            "other text as encoded words (RFC 2047)"
        )
    return value


def header_line(name: str, value: str) -> None:
    """Check the length of a header's name and value together."""
    if len(name) + len(value) > _HEADER_LINE:
        raise ValueError(
            f"{shown(name)}: name and value have {len(name) + len(value)} characters: "
            f"use {_HEADER_LINE} at most"
        )


def tag(text: str) -> str:
    """Check the name or the value of a tag."""
    if not _TAG.fullmatch(text):
        raise ValueError(
            f"{shown(text)} cannot stand in a tag: use 1-256 ASCII letters, digits, underscores and dashes"
        )
    return text


def configuration_set(name: str) -> str:
    """Check the name of a configuration set."""
    if not _CONFIGURATION_SET.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not the name of a configuration set: "
            "use 1-64 ASCII letters, digits, underscores and dashes"
        )
    return name


def filename(name: str) -> str:
    """Check the name of an attachment."""
    if not 1 <= len(line(name)) <= 255:
        raise ValueError(f"{shown(name)} is not the name of a file: use 1-255 characters")
    return name


def content_type(name: str) -> str:
    """Check a MIME type, parameters allowed."""
    if len(name) > 78 or not _CONTENT_TYPE.fullmatch(name):
        raise ValueError(f"{shown(name)} is not a MIME type: use one like image/png, 78 characters at most")
    return name


def content_id(name: str) -> str:
    """Check the id under which HTML refers to an inline attachment (`cid:`)."""
    if not _CONTENT_ID.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not a content id: use 1-78 printable ASCII characters, no spaces, < or >"
        )
    return name


def content_description(text: str) -> str:
    """Check the description of an attachment."""
    if not 1 <= len(line(text)) <= 1000:
        raise ValueError(f"{shown(text)} is not a description: use 1-1000 characters, or leave it out")
    return text
