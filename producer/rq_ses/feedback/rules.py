"""What follows from an event: the mail's state, whether SES had taken it, and whom not to write to again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rq_ses.feedback.event import Event
from rq_ses.suppression import Reason, normal_form
from rq_ses.suppression.address import is_simulated
from rq_ses.tracking import FEEDBACK, STATE_OF

STATES: Final = FEEDBACK
"""What may have become of a mail, the worst last: events come in any order, and a state never moves back."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that isn't to be written to again, as the event has it and in its normal form, and why."""

    given: str
    address: str
    reason: Reason
    text: str = ""


def state_of(event: Event) -> str:
    """Return the state in which an event leaves its mail, "" if it tells of none."""
    if event.kind == "Bounce" and not event.recipients:
        # Nobody has bounced: an out-of-office answer, which comes back as a bounce, too.
        return "delivered"
    if is_not_spam(event):
        return "delivered"
    return STATE_OF.get(event.kind, "")


def was_accepted(event: Event) -> bool:
    """Tell whether SES can only tell this of a mail that it has accepted."""
    return event.kind in STATE_OF


def is_not_spam(event: Event) -> bool:
    """Tell whether it is the opposite of a complaint: somebody took the mail out of the spam."""
    return event.kind == "Complaint" and event.type.casefold() == "not-spam"


def suppressions(event: Event) -> Iterator[Suppression]:
    """Yield whom not to write to again: never anybody whom the event doesn't name itself.

    A bounce counts if its type is Permanent, whatever its sub-type, and never by a recipient's status: that
    is 5.7.1 in a Transient bounce, too, for the sender's own DMARC. Inside a permanent one a recipient may be
    "delayed" all the same. A complaint names all recipients at the complaining domain; all are taken, and the
    entries say of how many. Addresses of SES's mailbox simulator are for tests, and the second test must not
    be refused for the first.
    """
    if event.kind == "Bounce" and event.type.casefold() == "permanent":
        reason: Reason = "bounce"
        named = [one for one in event.recipients if one.action.casefold() in ("", "failed")]
    elif event.kind == "Complaint" and not is_not_spam(event):
        reason, named = "complaint", list(event.recipients)
    else:
        return
    text = f"one of {len(named)}" if reason == "complaint" and len(named) > 1 else ""
    for given in dict.fromkeys(one.address for one in named):
        try:
            address = normal_form(given)
        except ValueError:
            # No mail can have it either.
            continue
        if not is_simulated(address):
            yield Suppression(given, address, reason, text)
