"""A mail's life in order: what was done about it, what SES has told of it since, and what is to come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from rq_ses.mails.mail import Mail
from rq_ses.states import CANCELED, FAILED, FINISHED, SCHEDULED, STARTED, STOPPED
from rq_ses.tracking import MailEvent

_LAST: Final = datetime.max.replace(tzinfo=UTC)


class Step(NamedTuple):
    """Something that happened to a mail, or will."""

    at: datetime | None
    what: str
    """In a word or two; of an event SES's own."""
    detail: str = ""


def timeline(mail: Mail) -> list[Step]:
    """Return what is known of a mail's life, the earliest first; an unknown time comes last."""
    steps = [*_done(mail), *map(event_step, mail.events), *_to_come(mail)]
    return sorted(steps, key=lambda step: step.at or _LAST)


def event_step(event: MailEvent) -> Step:
    """Return an event as a step."""
    kind = "/".join(filter(None, (event.type, event.subtype)))
    return Step(event.at, event.kind, ", ".join(filter(None, (event.recipient, kind, event.detail))))


def _done(mail: Mail) -> Iterator[Step]:
    if mail.created_at is not None:
        yield Step(mail.created_at, "created")
    if mail.enqueued_at is not None and mail.enqueued_at != mail.created_at:
        yield Step(mail.enqueued_at, "enqueued")
    under_way = mail.attempts + (mail.status == STARTED)
    if mail.first_attempt_at is not None and under_way > 1:
        yield Step(mail.first_attempt_at, "attempt 1 ended", "in vain")
    if mail.started_at is not None:
        yield Step(mail.started_at, "started", f"attempt {under_way}" if under_way else "")
    if mail.ended_at is not None:
        yield Step(mail.ended_at, *_end(mail))


def _end(mail: Mail) -> tuple[str, str]:
    note = f" ({mail.note})" if mail.note else ""
    words = f"{mail.code}: {mail.message}" if mail.code and mail.message else mail.code
    if mail.status == FINISHED:
        return "sent", (f"MessageId {mail.message_id}" if mail.message_id else "") + note
    if mail.status in (FAILED, CANCELED, STOPPED):
        return mail.status, words if mail.status == FAILED else note.strip()
    return "ended", f"attempt {mail.attempts}: {words}" if words else ""


def _to_come(mail: Mail) -> Iterator[Step]:
    if mail.status == SCHEDULED:
        yield Step(mail.scheduled_for, "scheduled for", f"attempt {mail.attempts + 1}")
    if mail.expires is not None:
        yield Step(mail.expires, "expires")
