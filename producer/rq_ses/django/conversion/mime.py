"""A draft as MIME: what Django would hand to an SMTP server, where SES's Simple content can't say it all."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from email.message import Message as MimeMessage
from email.parser import BytesParser
from email.policy import SMTP
from typing import Any, Final

import django
from django.core.mail.message import EmailAlternative, EmailAttachment

from rq_ses.django.conversion.draft import BY_SES, Draft, is_djangos
from rq_ses.message import address
from rq_ses.message.limits import RECIPIENTS
from rq_ses.message.message import Message
from rq_ses.message.mime.people import people
from rq_ses.message.mime.simple import mime_of
from rq_ses.message.raw import RawMessage
from rq_ses.message.unsubscribing import unsubscribe_headers

_SEVEN_BIT: Final = SMTP.clone(cte_type="7bit", refold_source="none")
"""SES advises against parts of 8 bits, which servers on the way may not take."""


def raw_messages(draft: Draft) -> tuple[RawMessage, ...]:
    """Return the mail as MIME, one message for every 50 of its recipients; the headers are those of all.

    Of equal mails the bytes are equal: else a key would stand for another mail when it comes again.

    Raises ValueError for an address or a header that can't be sent.
    """
    _check_sender(draft.sender)
    data = _mime(draft)
    terms = {name: value for name, value in draft.terms.items() if name != "unsubscribe"}
    most = RECIPIENTS.most
    return tuple(
        RawMessage(data=data, to=draft.recipients[start : start + most], **terms)
        for start in range(0, len(draft.recipients), most)
    )


def _mime(draft: Draft) -> bytes:
    mail = _cleaned(draft)
    message = mail.message(policy=_SEVEN_BIT) if django.VERSION >= (6, 0) else mail.message()
    # What a subclass has made is nobody's to change: it may be signed.
    return _own(message, draft.headers) if is_djangos(mail) else mime_of(message)


def _own(message: MimeMessage, given: Mapping[str, str]) -> bytes:
    """Return the bytes of what Django has made, without what would be another each time."""
    for name in BY_SES - {name.lower() for name in given}:
        del message[name]
    if "MIME-Version" not in message:  # Django 6 leaves it out where there are only attachments
        message["MIME-Version"] = "1.0"
    data = mime_of(message)
    if data.isascii():
        return data
    try:
        return BytesParser(policy=_SEVEN_BIT).parsebytes(data).as_bytes()
    except (LookupError, ValueError):  # a charset that nobody knows: the bytes are what there is
        return data


def _cleaned(draft: Draft) -> Any:
    """Return a copy of the mail that has what was read of it, so that every version of Django takes it."""
    mail = copy.copy(draft.mail)
    mail.subject, mail.body, mail.from_email = draft.subject, draft.body, draft.sender
    mail.to, mail.cc, mail.bcc, mail.reply_to = draft.to, draft.cc, draft.bcc, draft.reply_to
    mail.extra_headers = {**draft.shown, **draft.headers, **_unsubscribing(draft)}
    mail.attachments = [
        part if isinstance(part, MimeMessage) else EmailAttachment(part[0] or None, *part[1:])
        for part in draft.parts
    ]
    if hasattr(mail, "alternatives"):
        mail.alternatives = [EmailAlternative(*one) for one in draft.alternatives]
    return mail


def _unsubscribing(draft: Draft) -> dict[str, str]:
    """Return the headers that the term `unsubscribe` becomes. Raises pydantic.ValidationError."""
    link = draft.terms.get("unsubscribe")
    if link is None:
        return {}
    # A Message knows what it may be, and what else may be there.
    own = {name: value for name, value in draft.headers.items() if name.lower().startswith("list-unsub")}
    Message(
        sender=draft.sender,
        to=draft.recipients[:1],
        subject="",
        text="-",
        headers=own,
        unsubscribe=link,
        list_management=draft.terms.get("list_management"),
    )
    return unsubscribe_headers(link)


def _check_sender(sender: str) -> None:
    for _, bare in people([sender]) or [("", "")]:
        try:
            address.normalise(bare)
        except ValueError as exc:
            raise ValueError(f"sender: {exc}") from exc
