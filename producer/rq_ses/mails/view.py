"""One mail as rows for a terminal and as an object for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rq_ses.mails.mail import Mail
from rq_ses.states import CANCELED, FINISHED, STARTED, WAITING
from rq_ses.text.figures import counted, duration


def mail_object(mail: Mail) -> dict[str, Any]:
    """Return a mail as an object for JSON; what isn't known is null."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(mail).items()
    }


def mail_rows(mail: Mail, when: Callable[[datetime | None], str]) -> Iterator[tuple[str, str]]:
    """Yield a mail as labels and inert values; `when` puts moments into words."""
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
    for label, moment in (
        ("created", mail.created_at),
        ("enqueued", mail.enqueued_at),
        ("scheduled for", mail.scheduled_for),
        ("started", mail.started_at),
        ("canceled" if mail.status == CANCELED else "ended", mail.ended_at),
        ("expires", mail.expires),
    ):
        if moment is not None:
            yield label, when(moment)
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
