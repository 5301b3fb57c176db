"""The backend that Django's mail functions call: it puts their mails into the queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.mail.backends.base import BaseEmailBackend

from rq_ses.django import options as declared
from rq_ses.django.commit import enqueue_on_commit
from rq_ses.django.conversion import Converted, convert
from rq_ses.django.enqueueing import enqueue


class EmailBackend(BaseEmailBackend):  # type: ignore[misc] # Django comes without types
    """Enqueue Django's mails for the workers of rq-ses.

    Its options are those of `rq_ses.django.options.Options`, given as OPTIONS of an alias in MAILERS
    (Django 6.1), or else as the setting RQ_SES, a dict. Nothing is connected before a mail is sent, and all
    instances share one Outbox.

    Raises:
        ImproperlyConfigured: an option can't be used.
    """

    def __init__(self, *, fail_silently: bool = False, **options: Any) -> None:
        if options.get("alias") is None:
            # Django 5.2 and 6.0 hand these on whatever the backend; the queue knows no users.
            options.pop("username", None)
            options.pop("password", None)
        ours = {name: options.pop(name) for name in declared.NAMES & options.keys()}
        super().__init__(**options)
        if fail_silently:
            ours["fail_silently"] = fail_silently
        self._options = declared.read_options(ours, getattr(self, "alias", None))
        self.fail_silently = self._options.fail_silently

    def send_messages(self, email_messages: Iterable[Any] | None) -> int:
        """Enqueue mails, in a transaction when it is committed, and return how many have been taken.

        All are converted first: of a list with an unfit mail none is enqueued. Each has its Receipt in
        `rq_ses_receipt` once it is enqueued.

        Raises:
            ValueError: a mail can't be sent through SES (pydantic.ValidationError is one).
            TypeError: an attachment is nothing that can be.
            OutboxUnavailable: Redis is away; with `fail_silently` that is logged.
            DurabilityUnconfirmed: with `durable`: it wasn't confirmed in time; likewise.
            IdempotencyConflict: a mail's key stands for another one; the others are enqueued.
        """
        priority, expires = self._options.priority, self._options.expires
        mails = [
            convert(mail, priority=priority, expires=expires)
            for mail in email_messages or ()
            if mail.recipients()
        ]
        for mail in mails:
            mail.begin()
        return self._take(mails) if mails else 0

    def _take(self, mails: Sequence[Converted]) -> int:
        if self._options.on_commit and enqueue_on_commit(mails, self._options):
            return len(mails)
        return enqueue(mails, self._options)
