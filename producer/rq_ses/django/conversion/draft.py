"""A Django mail read once: all of it as plain text and bytes, lazy strings and names in any case gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.core.mail import EmailMessage, EmailMultiAlternatives

from rq_ses.django.conversion.attachments import Part, read_part
from rq_ses.django.conversion.text import text_of
from rq_ses.text.invalid import shown

SHOWN: Final = {name.lower(): name for name in ("From", "To", "Cc", "Reply-To")}
"""Headers that Django shows in place of its own, when they are given in this spelling."""

_NAME: Final = re.compile(r"[!-9;-~]+")
"""Django writes a name as it is, whatever other header a line end in it begins."""

BY_SES: Final = frozenset({"message-id", "date"})
"""Headers that SES writes anew whatever a mail has."""

_REFUSED: Final = {
    "bcc": "use the argument bcc: in a header all would read it",
    "subject": "use the argument subject",
    "content-type": "leave it out, it is written for what the mail has",
    "content-transfer-encoding": "leave it out, it is written for what the mail has",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What a mail says, and which of it is whose business.

    Attributes:
        mail: what it was read from.
        terms: fields of the message that stand beside its content, such as tags.
        sender: what the mail shows as its From.
        to: addresses, without blank ones, as `cc`, `bcc` and `reply_to`.
        recipients: whom it goes to, which a subclass may decide otherwise.
        shown: From, To, Cc and Reply-To as given among the headers, by these names.
        headers: the other headers as given.
        body: the text of `content_subtype`.
        alternatives: other forms of it, with their types.
        parts: attachments.
    """

    mail: Any
    terms: Mapping[str, Any]
    sender: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    recipients: list[str]
    subject: str
    shown: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    alternatives: list[tuple[str | bytes, str]]
    parts: list[Part]

    @classmethod
    def of(cls, mail: Any, terms: Mapping[str, Any]) -> Draft:
        """Return what a mail says. Raises ValueError for a header, TypeError for content to be refused."""
        by_hand, headers = _headers(mail.extra_headers)
        return cls(
            mail=mail,
            terms=terms,
            sender=by_hand.get("From") or text_of(mail.from_email),
            to=_addresses(mail.to),
            cc=_addresses(mail.cc),
            bcc=_addresses(mail.bcc),
            reply_to=_addresses(mail.reply_to),
            recipients=_addresses(mail.recipients()),
            subject=text_of(mail.subject),
            shown=by_hand,
            headers=headers,
            body=text_of(mail.body or ""),
            alternatives=[
                (content if isinstance(content, bytes) else text_of(content), text_of(kind))
                for content, kind in getattr(mail, "alternatives", None) or ()
            ],
            parts=[read_part(one) for one in mail.attachments],
        )


def _addresses(values: Iterable[Any]) -> list[str]:
    return [text_of(value) for value in values if value]


def _headers(given: Mapping[Any, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers that are shown in place of Django's own, and the others."""
    by_hand: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in ((text_of(name), value) for name, value in given.items()):
        if value is None:
            continue
        low = name.lower()
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"headers: {shown(name)} is no header's name: use printable ASCII without : and blanks"
            )
        if low in _REFUSED:
            raise ValueError(f"headers: {shown(name)} is not a header to set: {_REFUSED[low]}")
        if low in SHOWN:
            # Django goes by the name in this spelling, so that is the one meant where there are two.
            if name == SHOWN[low] or SHOWN[low] not in by_hand:
                by_hand[SHOWN[low]] = text_of(value)
        elif low != "mime-version":
            others[name] = text_of(value)
    return by_hand, others


def is_djangos(mail: Any) -> bool:
    """Whether a mail's class leaves the MIME to Django's: a subclass may sign it, or send it elsewhere."""
    return _leaves_alone(mail.__class__)


@lru_cache(maxsize=64)
def _leaves_alone(kind: Any) -> bool:
    base = EmailMultiAlternatives if issubclass(kind, EmailMultiAlternatives) else EmailMessage
    hooks = [name for name in dir(base) if name in ("message", "recipients") or _is_inner(name)]
    return all(getattr(kind, name) is getattr(base, name) for name in hooks)


def _is_inner(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
