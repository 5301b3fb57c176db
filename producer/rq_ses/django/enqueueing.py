"""Converted mails into the queue: receipts onto the mails, and what is to be raised and what to be logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

from rq_ses.django.conversion import Converted
from rq_ses.django.options import Options
from rq_ses.django.outboxes import outbox_for
from rq_ses.errors import DurabilityUnconfirmed, OutboxUnavailable
from rq_ses.outbox.call import Result
from rq_ses.receipt import Receipt

_logger: Final = logging.getLogger("rq_ses.django")
_logging: Final = threading.local()


def enqueue(mails: Sequence[Converted], options: Options) -> int:
    """Enqueue mails and return how many of them are.

    Raises what `EmailBackend.send_messages` does.
    """
    submissions = [one for mail in mails for one in mail.submissions]
    try:
        results = outbox_for(options).try_send_many(submissions, durable=options.durable)
    except (OutboxUnavailable, DurabilityUnconfirmed) as exc:
        taken = _settle(mails, exc.results)
        if not options.fail_silently:
            raise
        _log(f"{taken} of {len(mails)} mails are known to be enqueued: {exc}")
        return taken
    taken = _settle(mails, results)
    problems = [result for result in results if not isinstance(result, Receipt)]
    if problems:
        if len(problems) > 1:
            problems[0].add_note(f"{len(problems) - 1} more were refused, too")
        raise problems[0]
    return taken


def _settle(mails: Sequence[Converted], results: Sequence[Result]) -> int:
    """Give each mail its receipts, and return how many mails have all of theirs."""
    taken = start = 0
    for mail in mails:
        end = start + len(mail.submissions)
        receipts = [result for result in results[start:end] if isinstance(result, Receipt)]
        mail.end(receipts)
        taken += len(receipts) == len(mail.submissions)
        start = end
    return taken


def _log(text: str) -> None:
    # A handler that sends mails may hang where this goes: its failure isn't logged anew, for ever.
    if getattr(_logging, "busy", False):
        return
    _logging.busy = True
    try:
        _logger.warning("%s", text)
    finally:
        _logging.busy = False
