"""What is stored of an event: a field for each recipient, named by what makes it the same event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses.feedback.event import Event, Recipient
from rq_ses.feedback.rules import is_not_spam
from rq_ses.outcomes.outcome import Outcome

STATE: Final = "state"
"""Field with the worst state; no event's field is called so, for each holds a colon."""

_FIELD: Final = 200
_NOBODY: Final = Recipient("")


def fields(event: Event) -> Iterator[tuple[str, str, str]]:
    """Yield field, value and recipient ("" if it is about the mail) of what is stored of an event.

    SNS repeats messages, and SES tells a bounce in both forms if both are on: with other ids of SNS's, but
    with one feedback id, or else one time.
    """
    mark = event.feedback_id or f"{event.at:.3f}"
    for one in event.recipients or (_NOBODY,):
        yield _field(f"{event.kind}:{mark}:{one.address.casefold()}"), _value(event, one), one.address


def counter(event: Event) -> str:
    """Return what an event counts as: its kind, with the type of a bounce; and "Complaint not-spam"."""
    if event.kind == "Bounce" and event.type:
        return f"Bounce {event.type.capitalize()}"
    return "Complaint not-spam" if is_not_spam(event) else event.kind


def weight(event: Event) -> int:
    """Return the number of the mail's recipients if the event is about it, for rates are of them; else 1."""
    return max(1, len(event.destination)) if event.kind in ("Send", "Reject", "Rendering Failure") else 1


def outcome(event: Event, job_id: str) -> Outcome:
    """Return what hooks are told of an event: once, however often it comes, and in whichever form."""
    to = tuple(one.address for one in event.recipients if one.address)
    detail: dict[str, Any] = {"type": event.type, "subtype": event.subtype, "text": event.detail}
    diagnostics = {one.address: one.diagnostic for one in event.recipients if one.diagnostic}
    return Outcome(
        id=_field(":".join((event.message_id, event.kind, event.feedback_id or f"{event.at:.3f}", *to))),
        kind=event.kind,
        at=datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        job_id=job_id,
        message_id=event.message_id,
        to=to or event.destination,
        detail={name: value for name, value in {**detail, "diagnostics": diagnostics}.items() if value},
    )


def _field(name: str) -> str:
    if len(name) <= _FIELD:
        return name
    return f"{name[:_FIELD]}:{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def _value(event: Event, one: Recipient) -> str:
    told: dict[str, Any] = {
        "kind": event.kind,
        "at": event.at,
        "recipient": one.address,
        "type": event.type,
        "subtype": event.subtype,
        "action": one.action,
        "status": one.status,
        "detail": one.diagnostic or event.detail,
        "message_id": event.message_id,
    }
    known = {address.casefold() for address in event.destination}
    if one.address and known and one.address.casefold() not in known:
        # Somebody forwards what we wrote: both addresses are told.
        told["to"] = list(event.destination)
    return json.dumps({name: value for name, value in told.items() if value}, separators=(",", ":"))
