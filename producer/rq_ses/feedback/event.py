"""What SES tells about a mail, read from either of its two forms.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses.contract import JOB_TAG
from rq_ses.text.plaintext import one_line

OBJECTS: Final[Mapping[str, str]] = {
    "Send": "send",
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Rendering Failure": "failure",
    "Open": "open",
    "Click": "click",
    "Subscription": "subscription",
}
"""Where a kind of event has what is its own."""

FORMS: Final = ("eventType", "notificationType")
"""What names the kind: event publishing by a configuration set, or a notification of an identity."""

_ABOUT: Final = {
    "Bounce": "bouncedRecipients",
    "Complaint": "complainedRecipients",
    "Delivery": "recipients",
    "DeliveryDelay": "delayedRecipients",
}
"""Where a kind names the recipients that it is about; the others are about the mail."""

_DETAILS: Final = {
    "Delivery": ("smtpResponse",),
    "DeliveryDelay": ("delayType",),
    "Reject": ("reason",),
    "Rendering Failure": ("templateName", "errorMessage"),
    "Click": ("link",),
    "Subscription": ("contactList",),
}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""What a tag's value may be, and an id of SES's is."""

_ADDRESS: Final = 320
_WORD: Final = 100
_SENTENCE: Final = 300
_MOST: Final = 200
"""Recipients that are read of an event; a mail has 50 at most."""


class NoEvent(ValueError):
    """Raised when what SNS brought tells of no mail."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient that an event is about. What a remote server or AWS didn't say is ""."""

    address: str
    action: str = ""
    status: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of one mail. Texts are bounded, and one line each; what isn't told is "".

    Attributes:
        kind: as SES spells it, one of OBJECTS or a newer one.
        form: "eventType" or "notificationType".
        at: when it happened (epoch seconds), or else when SES took the mail.
        accepted_at: when SES took the mail (epoch seconds); 0.0 if it doesn't say.
        message_id: the MessageId that SendEmail returned.
        job_id: of the mail's tag; "" in identity notifications, which have no tags.
        recipients: whom it is about; none where it is about the mail.
        destination: to whom the mail was sent.
        feedback_id: of a bounce or complaint; the same in both forms, and when it is repeated.
        type: of a bounce: Permanent, Transient, Undetermined; of a complaint: abuse, not-spam, ….
        subtype: of a bounce or complaint.
        detail: what else it says, for people.
    """

    kind: str
    form: str
    at: float
    accepted_at: float
    message_id: str
    job_id: str = ""
    recipients: tuple[Recipient, ...] = ()
    destination: tuple[str, ...] = ()
    feedback_id: str = ""
    type: str = ""
    subtype: str = ""
    detail: str = ""

    @property
    def is_known(self) -> bool:
        """Whether its kind is one that this version knows."""
        return self.kind in OBJECTS


def read_event(told: Any) -> Event:
    """Return the event that a value of JSON tells of.

    Raises:
        NoEvent: it names no kind, or no mail.
    """
    about = _mapping(told)
    form = next((form for form in FORMS if _word(about.get(form))), None)
    if form is None:
        raise NoEvent("it has neither eventType nor notificationType")
    kind = _word(about[form])
    mail = _mapping(about.get("mail"))
    message_id = _id(mail.get("messageId"))
    if not message_id:
        raise NoEvent(f"its {form} is {kind}, and it names no mail")
    own = _mapping(about.get(OBJECTS.get(kind, "")))
    tags = _list(_mapping(mail.get("tags")).get(JOB_TAG))
    complaint, accepted_at = kind == "Complaint", _time(mail.get("timestamp"))
    return Event(
        kind=kind,
        form=form,
        at=_time(own.get("timestamp")) or accepted_at,
        accepted_at=accepted_at,
        message_id=message_id,
        job_id=_id(tags[0]) if tags else "",
        recipients=tuple(_recipients(own.get(_ABOUT.get(kind, "")))),
        destination=tuple(_address(one) for one in _list(mail.get("destination"))[:_MOST]),
        feedback_id=_text(own.get("feedbackId"), _WORD),
        type=_word(own.get("complaintFeedbackType" if complaint else "bounceType")),
        subtype=_word(own.get("complaintSubType" if complaint else "bounceSubType")),
        detail=_text(" ".join(_text(own.get(name), _SENTENCE) for name in _DETAILS.get(kind, ())), _SENTENCE),
    )


def _recipients(told: Any) -> list[Recipient]:
    found = []
    for one in _list(told)[:_MOST]:
        about = {"emailAddress": one} if isinstance(one, str) else _mapping(one)
        address = _address(about.get("emailAddress"))
        if address:
            found.append(
                Recipient(
                    address,
                    _word(about.get("action")),
                    _word(about.get("status")),
                    _text(about.get("diagnosticCode"), _SENTENCE),
                )
            )
    return found


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}


def _list(told: Any) -> Sequence[Any]:
    return told if isinstance(told, list) else ()


def _address(told: Any) -> str:
    return one_line(told, _ADDRESS, markup=True) if isinstance(told, str) else ""


def _text(told: Any, limit: int) -> str:
    return one_line(told, limit) if isinstance(told, str) else ""


def _word(told: Any) -> str:
    return _text(told, _WORD)


def _id(told: Any) -> str:
    return told if isinstance(told, str) and _ID.fullmatch(told) else ""


def _time(told: Any) -> float:
    """Return a time as epoch seconds, 0.0 if it can't be read."""
    try:
        at = datetime.fromisoformat(told) if isinstance(told, str) else None
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) if at else 0.0
    except (ValueError, OverflowError):
        return 0.0
