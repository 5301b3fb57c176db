"""A mail of Django's with what is enqueued for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rq_ses.contract import Priority
from rq_ses.django.conversion.draft import Draft
from rq_ses.django.conversion.mime import raw_messages
from rq_ses.django.conversion.simple import simple_message
from rq_ses.message.limits import RECIPIENTS
from rq_ses.message.raw import RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.submission import Submission, checked_key
from rq_ses.receipt import Receipt
from rq_ses.text.invalid import shown

TERMS: Final = "rq_ses"
"""The attribute of a Django mail that has its terms: a dict."""

_OF_JOB: Final = frozenset(Submission.__dataclass_fields__) - {"message"}
_OF_MESSAGE: Final = frozenset(RawMessage.model_fields) - {"data", "to", "sender"} | {"unsubscribe"}


@dataclass(frozen=True, slots=True)
class Converted:
    """A mail and its submissions: one, or one for every 50 recipients."""

    mail: Any
    submissions: tuple[Submission, ...]

    def begin(self) -> None:
        """Take off the receipts of an earlier call."""
        self.end(())

    def end(self, receipts: Sequence[Receipt]) -> None:
        """Put the receipts onto the mail, as far as there are some."""
        self.mail.rq_ses_receipts = tuple(receipts)
        self.mail.rq_ses_receipt = receipts[0] if receipts else None


def convert(mail: Any, *, priority: Priority, expires: float | timedelta | None) -> Converted:
    """Return what is to be enqueued for a mail, checked as far as this can be done without Redis.

    Args:
        mail: a django.core.mail.EmailMessage that has recipients.
        priority: of the job, unless the mail says another.
        expires: likewise.

    Raises:
        ValueError: SES can't send it, or its terms can't be used.
        TypeError: an attachment is nothing that can be sent.
    """
    terms = {"priority": priority, "expires": expires, **_terms(mail)}
    draft = Draft.of(mail, {name: terms.pop(name) for name in _OF_MESSAGE & terms.keys()})
    found = simple_message(draft) if len(draft.recipients) <= RECIPIENTS.most else None
    messages: tuple[AnyMessage, ...] = (found,) if found else raw_messages(draft)
    key = terms.pop("key", None)
    submissions = tuple(
        Submission(message, key=_part_key(key, number), **terms) for number, message in enumerate(messages, 1)
    )
    _check(submissions)
    return Converted(mail, submissions)


def _terms(mail: Any) -> Mapping[str, Any]:
    terms = getattr(mail, TERMS, None)
    if terms is None:
        return {}
    if not isinstance(terms, Mapping):
        raise TypeError(f"{TERMS}: {shown(terms)} is no mapping: give terms by their names")
    if unknown := sorted(str(name) for name in terms if name not in _OF_JOB | _OF_MESSAGE):
        known = ", ".join(sorted(_OF_JOB | _OF_MESSAGE))
        raise ValueError(f"{TERMS}: {shown(unknown[0])} is no term: give some of {known}")
    return terms


def _part_key(key: Any, number: int) -> Any:
    """Return the key of one of the jobs of a mail: the first has the mail's own."""
    return key if number == 1 or not isinstance(key, str) else f"{key}+{number}"


def _check(submissions: Sequence[Submission]) -> None:
    # What is refused only after the commit, no view can answer. The server's clock isn't asked for it.
    for one in submissions:
        if one.key is not None:
            checked_key(one.key)
        one.place()
        one.due()
        one.options(time.time)
