"""What an event of each kind has in an object of its own, beside the mail."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rq_ses_worker.simulator.events.topic import stamp

Particulars = tuple[str, dict[str, Any]]
"""The object's name, and its members."""

_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_MTA: Final = "a8-50.smtp-out.amazonses.com"


def feedback_id() -> str:
    """Return a new id of a bounce or a complaint, which both its forms share."""
    return f"0100{uuid.uuid4().hex[:12]}-{uuid.uuid4()}-000000"


def _send(_recipients: Sequence[str], _at: datetime) -> Particulars:
    return "send", {}


def _delivery(recipients: Sequence[str], at: datetime) -> Particulars:
    return "delivery", {
        "timestamp": stamp(at),
        "processingTimeMillis": 546,
        "recipients": list(recipients),
        "smtpResponse": "250 2.6.0 Message received",
        "remoteMtaIp": "127.0.2.0",
        "reportingMTA": _MTA,
    }


def _delay(recipients: Sequence[str], at: datetime) -> Particulars:
    return "deliveryDelay", {
        "timestamp": stamp(at),
        "delayType": "TransientCommunicationFailure",
        "expirationTime": stamp(at + timedelta(hours=14)),
        "delayedRecipients": [
            {
                "emailAddress": recipient,
                "status": "4.4.1",
                "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
            }
            for recipient in recipients
        ],
    }


def _bounce(recipients: Sequence[str], at: datetime) -> Particulars:
    return "bounce", {
        "feedbackId": feedback_id(),
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [
            {
                "emailAddress": recipient,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            }
            for recipient in recipients
        ],
        "timestamp": stamp(at),
        "reportingMTA": f"dsn; {_MTA}",
    }


def _complaint(recipients: Sequence[str], at: datetime) -> Particulars:
    return "complaint", {
        "feedbackId": feedback_id(),
        "complaintSubType": None,
        "complainedRecipients": [{"emailAddress": recipient} for recipient in recipients],
        "timestamp": stamp(at),
        "userAgent": "Amazon SES Mailbox Simulator",
        "complaintFeedbackType": "abuse",
        "arrivalDate": stamp(at),
    }


def _reject(_recipients: Sequence[str], _at: datetime) -> Particulars:
    return "reject", {"reason": "Bad content"}


def _failure(_recipients: Sequence[str], _at: datetime) -> Particulars:
    return "failure", {
        "templateName": "welcome",
        "errorMessage": "Attribute 'name' is not present in the rendering data.",
    }


def _open(_recipients: Sequence[str], at: datetime) -> Particulars:
    return "open", {"timestamp": stamp(at), "ipAddress": "192.0.2.7", "userAgent": _AGENT}


def _click(_recipients: Sequence[str], at: datetime) -> Particulars:
    return "click", {
        "timestamp": stamp(at),
        "ipAddress": "192.0.2.7",
        "userAgent": _AGENT,
        "link": "https://example.com/hello",
        "linkTags": None,
    }


def _subscription(_recipients: Sequence[str], at: datetime) -> Particulars:
    topic = {"topicName": "news", "subscriptionStatus": "OptOut"}
    return "subscription", {
        "contactList": "customers",
        "timestamp": stamp(at),
        "source": "UnsubscribeHeader",
        "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": [topic]},
        "oldTopicPreferences": {
            "unsubscribeAll": False,
            "topicSubscriptionStatus": [topic | {"subscriptionStatus": "OptIn"}],
        },
    }


BY_KIND: Final[Mapping[str, Callable[[Sequence[str], datetime], Particulars]]] = {
    "Send": _send,
    "Delivery": _delivery,
    "DeliveryDelay": _delay,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Reject": _reject,
    "Rendering Failure": _failure,
    "Open": _open,
    "Click": _click,
    "Subscription": _subscription,
}
