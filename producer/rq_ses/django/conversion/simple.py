"""A draft as a Message: for most mails SES can be told what there is, and builds the MIME itself."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from pydantic import ValidationError

from rq_ses.django.conversion.attachments import as_attachment
from rq_ses.django.conversion.draft import BY_SES, Draft, is_djangos
from rq_ses.message.message import Message

_OF_FORM: Final = frozenset({"subject", "reply_to", "headers", "attachments"})
"""Fields whose problems are Simple content's: a mail as MIME may have none."""

_UTF8: Final = frozenset({"utf-8", "utf8"})


def simple_message(draft: Draft) -> Message | None:
    """Return the mail as a Message; None if only MIME says all of it.

    Raises ValueError (pydantic.ValidationError) for what MIME wouldn't mend.
    """
    bodies = _bodies(draft)
    if (
        bodies is None
        or not _is_as_django_has_it(draft.mail)
        or not draft.shown.keys() <= {"From", "Reply-To"}
    ):
        return None
    by_hand = draft.shown.get("Reply-To")
    try:
        attachments = [as_attachment(part) for part in draft.parts]
        if None in attachments:
            return None
        fields = {
            "to": draft.to,
            "cc": draft.cc,
            "bcc": draft.bcc,
            "reply_to": draft.reply_to if by_hand is None else [by_hand] if by_hand else [],
            "headers": {n: value for n, value in draft.headers.items() if n.lower() not in BY_SES},
            "attachments": attachments,
        }
        # What is empty isn't given: most mails have little of it, and each field is checked.
        given: dict[str, Any] = {name: value for name, value in fields.items() if value}
        return Message(sender=draft.sender, subject=draft.subject, **given, **bodies, **draft.terms)
    except ValidationError as exc:
        if exc.title == "Attachment" or {problem["loc"][0] for problem in exc.errors()} <= _OF_FORM:
            return None
        raise


def _bodies(draft: Draft) -> dict[str, Any] | None:
    """Return the fields of the bodies; None if the mail has others than text and HTML, or none at all."""
    subtype = draft.mail.content_subtype
    if not draft.alternatives:
        name = {"plain": "text", "html": "html"}.get(subtype)
        return {name: draft.body} if name and draft.body else None
    if subtype != "plain" or len(draft.alternatives) > 1:
        return None
    [(content, kind)] = draft.alternatives
    if not _is_html(kind) or not content:
        return None
    html = content.decode() if isinstance(content, bytes) else content
    return {"text": draft.body, "html": html} if draft.body else {"html": html}


def _is_html(kind: str) -> bool:
    """Whether a type is that of HTML in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in kind.split(";"))
    charsets = {parameter.partition("=")[2].strip('"') for parameter in parameters}
    return (
        kind == "text/html"
        and all(parameter.startswith("charset=") for parameter in parameters)
        and charsets <= _UTF8
    )


def _is_as_django_has_it(mail: Any) -> bool:
    """Whether nothing but its fields decides what Django would make of a mail."""
    return (
        is_djangos(mail)
        and str(mail.encoding or settings.DEFAULT_CHARSET).lower() in _UTF8
        # Of Django 5.2, and of instances, too: people set "related" for pictures.
        and getattr(mail, "mixed_subtype", "mixed") == "mixed"
        and getattr(mail, "alternative_subtype", "alternative") == "alternative"
    )
