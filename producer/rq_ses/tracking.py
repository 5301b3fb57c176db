"""What an app is told of a mail that it has sent: how it stands, and what SES has told of it since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rq_ses.states import CANCELED, FAILED, FINISHED, STOPPED

UNKNOWN: Final = "unknown"
"""State of a mail of which nothing is known: it was never enqueued here, or its time to be kept is over."""

STATE_OF: Final = {
    "Send": "sent",
    "DeliveryDelay": "delayed",
    "Delivery": "delivered",
    "Open": "delivered",
    "Click": "delivered",
    "Bounce": "bounced",
    "Reject": "rejected",
    "Rendering Failure": "unrendered",
    "Complaint": "complained",
}
"""The state in which an event of a kind leaves its mail; SES tells them only of what it has accepted."""

FEEDBACK: Final = ("sent", "delayed", "delivered", "bounced", "rejected", "unrendered", "complained")
"""What may have become of a mail that SES has, the worst last."""

_OVER: Final = (FINISHED, FAILED, CANCELED, STOPPED, UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """One thing that SES has told of a mail, of one recipient where it is about one.

    Texts are inert and bounded; what wasn't told is "".

    Attributes:
        kind: SES's word, such as Send, Delivery, Bounce, Complaint, Open.
        at: when it happened, in UTC.
        recipient: whom it is about.
        type: of a bounce (Permanent, Transient, Undetermined) or a complaint (abuse, …).
        subtype: of these.
        detail: what else was told, as the receiving server's words.
        message_id: SES's MessageId of the copy that it is about.
    """

    kind: str
    at: datetime | None
    recipient: str = ""
    type: str = ""
    subtype: str = ""
    detail: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a mail stands, as Outbox.status tells it. Moments are aware and in UTC; None isn't known, or yet.

    Attributes:
        job_id: of its job.
        state: RQ's word: queued, scheduled, started, finished (SES has it), failed, canceled, stopped or
            deferred; "unknown" if nothing is known of it: it was never enqueued here, or is forgotten by now.
        attempts: how often it was tried since it was enqueued, or resent.
        message_id: SES's, of a mail that was sent; "" if SES's answer had none.
        error: how its last attempt ended, if otherwise than sent.
        in_doubt: SES may have accepted it, as far as anybody knows.
        next_attempt: when it is due, of a mail that is scheduled.
        created_at: when it was enqueued first.
        started_at: when its last attempt began.
        ended_at: when that ended, or the mail was canceled; of one that was sent: when it was.
        feedback: the worst of what SES has told since: sent, delayed, delivered, bounced, rejected,
            unrendered or complained; "" is nothing.
        events: all that it has told, the earliest first.
        suppressed: recipients that it was not sent to, for they are on the suppression list.
    """

    job_id: str
    state: str
    attempts: int = 0
    message_id: str | None = None
    error: str | None = None
    in_doubt: bool = False
    next_attempt: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    feedback: str = ""
    events: tuple[MailEvent, ...] = ()
    suppressed: tuple[str, ...] = ()

    @property
    def sent(self) -> bool:
        """Whether SES has accepted it."""
        return self.state == FINISHED

    @property
    def over(self) -> bool:
        """Whether nothing more will be done about it, unless somebody asks for it."""
        return self.state in _OVER
