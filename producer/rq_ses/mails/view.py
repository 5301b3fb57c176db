"""One mail as rows for a terminal and as an object for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import repeat
from typing import Any

from rq_ses.mails.mail import Mail
from rq_ses.mails.timeline import Step, event_step, timeline
from rq_ses.states import FINISHED, STARTED, WAITING
from rq_ses.text.figures import counted, duration
from rq_ses.tracking import UNKNOWN, MailEvent


def mail_object(mail: Mail) -> dict[str, Any]:
    """Return a mail as an object for JSON; what isn't known is null."""
    steps = [step._asdict() for step in timeline(mail)]
    found: dict[str, Any] = _plain({**asdict(mail), "timeline": steps})
    return found


def events_object(job_id: str, events: Sequence[MailEvent], feedback: str) -> dict[str, Any]:
    """Return what is left of a mail that is forgotten: what SES has told of it."""
    found: dict[str, Any] = _plain(
        {"job_id": job_id, "status": UNKNOWN, "feedback": feedback, "events": [asdict(one) for one in events]}
    )
    return found


def event_rows(
    events: Sequence[MailEvent], when: Callable[[datetime | None], str]
) -> Iterator[tuple[str, str]]:
    """Yield events as labels and inert values."""
    return map(_row, map(event_step, events), repeat(when))


def _row(step: Step, when: Callable[[datetime | None], str]) -> tuple[str, str]:
    return step.what, f"{when(step.at)}{', ' if step.detail else ''}{step.detail}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def mail_rows(mail: Mail, when: Callable[[datetime | None], str]) -> Iterator[tuple[str | None, str]]:
    """Yield a mail as labels and inert values, its life at the end; `when` puts moments into words."""
    yield "job", mail.job_id
    yield "status", mail.status
    yield "stands", mail.place
    yield "queue", f"{mail.queue} (priority {mail.priority})"
    if mail.campaign:
        together = f", whose job has {counted(mail.entries, 'entry', 'entries')}" if mail.entries else ""
        yield "campaign", f"{mail.campaign}{together}"
    yield "mail", mail.description
    if mail.sender:
        yield "from", mail.sender
    for label, addresses in (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc)):
        for number, address in enumerate(addresses):
            yield "" if number else label, address
    if mail.subject is not None:
        yield "subject", mail.subject
    yield from _attempts(mail)
    if mail.worker:
        yield "worker", mail.worker
    if mail.on_unknown:
        yield "on unknown", mail.on_unknown
    yield "key", "sent under an idempotency key" if mail.keyed else "none"
    size = counted(mail.size, "byte", "bytes")
    sent = f"{size} left in Redis: the message was dropped when it was sent"
    yield "size", sent if mail.status == FINISHED else f"{size} in Redis"
    kept = "until it is sent" if mail.status in (*WAITING, STARTED) else "for ever"
    yield "kept", kept if mail.ttl is None else f"for {duration(mail.ttl)} more"
    if mail.feedback:
        yield "feedback", mail.feedback
    for number, address in enumerate(mail.suppressed):
        yield "" if number else "not sent to", f"{address} (suppressed)"
    yield None, ""
    for step in timeline(mail):
        yield _row(step, when)


def _attempts(mail: Mail) -> Iterator[tuple[str, str]]:
    doubt = f", {mail.in_doubt:,} of them in doubt" if mail.in_doubt else ""
    yield "attempts", f"{mail.attempts:,}{doubt}"
    if len(mail.deliveries) > 1:
        for number, (address, message_id) in enumerate(mail.deliveries):
            yield "" if number else "MessageIds", f"{address}: {message_id or 'none came with the answer'}"
    if mail.unknown:
        yield "may be accepted", "yes: SES may have it"
    if mail.message_id is not None:
        yield "MessageId", mail.message_id or "none came with SES's answer"
    if mail.outcome or mail.code:
        words = f": {mail.message}" if mail.message else ""
        code = f" ({mail.code}{words})" if mail.code else ""
        yield "last outcome", f"{(mail.outcome or 'failed').replace('_', ' ')}{code}"
    if mail.hint:
        yield "hint", mail.hint
