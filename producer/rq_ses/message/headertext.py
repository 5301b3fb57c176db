"""Text that goes into a mail's header: the rules for each kind, so that none can break out of its line.

Every function returns what it is given, or raises ValueError with the value and the remedy. Which characters
may stand where is SES's word, as the limits are (rq_ses.message.limits).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rq_ses.message.limits import (
    ARN,
    CONFIGURATION_SET,
    CONTACT_LIST,
    CONTENT_DESCRIPTION,
    CONTENT_ID,
    CONTENT_TYPE,
    FILENAME,
    HEADER_LINE,
    HEADER_NAME,
    HEADER_VALUE,
    TAG,
    TEMPLATE,
    TENANT,
)
from rq_ses.text.invalid import shown


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a text must look like, and what is said of one that doesn't."""

    pattern: re.Pattern[str]
    problem: str

    def checked(self, text: str) -> str:
        if not self.pattern.fullmatch(text):
            raise ValueError(f"{shown(text)} {self.problem}")
        return text


_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_HEADER_NAME: Final = _Rule(
    re.compile(rf"[!-9;-@A-~]{{1,{HEADER_NAME.most}}}"),
    f"is not a header's name: use 1-{HEADER_NAME.most} printable ASCII characters, no space or colon",
)
_HEADER_VALUE: Final = _Rule(
    re.compile(rf"[ -~]{{1,{HEADER_VALUE.most}}}"),
    f"is not a header's value: use 1-{HEADER_VALUE.most} printable ASCII characters, "
    "other text as encoded words (RFC 2047)",
)
_TAG: Final = _Rule(
    re.compile(rf"[A-Za-z0-9_-]{{1,{TAG.most}}}"),
    f"cannot stand in a tag: use 1-{TAG.most} ASCII letters, digits, underscores and dashes",
)
_CONFIGURATION_SET: Final = _Rule(
    re.compile(rf"[A-Za-z0-9_-]{{1,{CONFIGURATION_SET.most}}}"),
    "is not the name of a configuration set: "
    f"use 1-{CONFIGURATION_SET.most} ASCII letters, digits, underscores and dashes",
)
_TENANT: Final = _Rule(
    re.compile(rf"[A-Za-z0-9_-]{{1,{TENANT.most}}}"),
    f"is not a tenant's name: use 1-{TENANT.most} ASCII letters, digits, underscores and dashes",
)
_TEMPLATE: Final = _Rule(
    re.compile(rf"[A-Za-z0-9_-]{{1,{TEMPLATE.most}}}"),
    f"is not the name of a template: use 1-{TEMPLATE.most} ASCII letters, digits, underscores and dashes",
)
_CONTACT_LIST: Final = _Rule(
    re.compile(rf"[ -~]{{1,{CONTACT_LIST.most}}}"),
    f"is not the name of a contact list or topic: use 1-{CONTACT_LIST.most} printable ASCII characters",
)
_ARN: Final = _Rule(
    re.compile(
        rf"(?=.{{1,{ARN.most}}}\Z)arn:[a-z][a-z0-9-]*:ses:[a-z0-9-]+:[0-9]{{12}}:identity/[!-~]+", re.DOTALL
    ),
    "is not an identity's ARN: use one like arn:aws:ses:eu-west-1:123456789012:identity/example.com",
)
_FILENAME: Final = _Rule(
    re.compile(rf".{{1,{FILENAME.most}}}", re.DOTALL),
    f"is not the name of a file: use 1-{FILENAME.most} characters",
)
_CONTENT_TYPE: Final = _Rule(
    re.compile(
        rf"(?=.{{1,{CONTENT_TYPE.most}}}\Z)[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *;[ -~]*)?", re.ASCII | re.DOTALL
    ),
    f"is not a MIME type: use one like image/png, {CONTENT_TYPE.most} characters at most",
)
_CONTENT_ID: Final = _Rule(
    re.compile(rf"[!-;=?-~]{{1,{CONTENT_ID.most}}}"),
    f"is not a content id: use 1-{CONTENT_ID.most} printable ASCII characters, no spaces, < or >",
)
_CONTENT_DESCRIPTION: Final = _Rule(
    re.compile(rf".{{1,{CONTENT_DESCRIPTION.most}}}", re.DOTALL),
    f"is not a description: use 1-{CONTENT_DESCRIPTION.most} characters, or leave it out",
)

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
    remedy = _RESERVED.get(_HEADER_NAME.checked(name).lower())
    if remedy:
        raise ValueError(f"{shown(name)} is not a header to set: {remedy}")
    return name


def header_value(value: str) -> str:
    """Check a header's value."""
    return _HEADER_VALUE.checked(value)


def header_line(name: str, value: str) -> None:
    """Check the length of a header's name and value together."""
    length = len(name) + len(value)
    if length > HEADER_LINE.most:
        raise ValueError(
            f"{shown(name)}: name and value have {length} characters: use {HEADER_LINE.most} at most"
        )


def tag(text: str) -> str:
    """Check the name or the value of a tag."""
    return _TAG.checked(text)


def configuration_set(name: str) -> str:
    """Check the name of a configuration set."""
    return _CONFIGURATION_SET.checked(name)


def tenant(name: str) -> str:
    """Check the name of a tenant."""
    return _TENANT.checked(name)


def template(name: str) -> str:
    """Check the name of a template that SES has."""
    return _TEMPLATE.checked(name)


def contact_list(name: str) -> str:
    """Check the name of a contact list, or of a topic of one."""
    return _CONTACT_LIST.checked(name)


def identity_arn(text: str) -> str:
    """Check the ARN of an identity of SES."""
    return _ARN.checked(text)


def filename(name: str) -> str:
    """Check the name of an attachment."""
    return _FILENAME.checked(line(name))


def content_type(name: str) -> str:
    """Check a MIME type, parameters allowed."""
    return _CONTENT_TYPE.checked(name)


def content_id(name: str) -> str:
    """Check the id under which HTML refers to an inline attachment (`cid:`)."""
    return _CONTENT_ID.checked(name)


def content_description(text: str) -> str:
    """Check the description of an attachment."""
    return _CONTENT_DESCRIPTION.checked(line(text))
