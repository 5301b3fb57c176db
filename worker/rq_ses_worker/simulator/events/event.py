"""The events that SES tells about a mail, in the form of event publishing and of identity notifications.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from rq_ses_worker.simulator.events import particulars
from rq_ses_worker.simulator.events.topic import stamp

Kind = Literal[
    "Send", "Delivery", "DeliveryDelay", "Bounce", "Complaint", "Reject", "Rendering Failure", "Open",
    "Click", "Subscription",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Form = Literal["eventType", "notificationType"]
"""Event publishing by a configuration set, or a notification of an identity; both may be on at once."""

NOTIFIED: Final = frozenset({"Bounce", "Complaint", "Delivery"})
"""The kinds that there are of identity notifications."""

_ACCOUNT: Final = "123456789012"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A mail as SES took it.

    `tags` are those of the request; SES adds some of its own. `at` is when it was sent.
    """

    message_id: str = field(default_factory=lambda: f"0100{uuid.uuid4().hex[:12]}-{uuid.uuid4()}-000000")
    sender: str = "app@example.com"
    recipients: Sequence[str] = ("b@example.org",)
    subject: str | None = "Hello"
    tags: Mapping[str, str] = field(default_factory=dict)
    configuration_set: str = "events"
    region: str = "us-east-1"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def event(
    kind: Kind | str,
    mail: Sent,
    *,
    form: Form = "eventType",
    at: datetime | None = None,
    recipients: Sequence[str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return an event as SES writes it.

    Args:
        kind: SES's name; one that isn't among KINDS is written without an object of its own.
        mail: what it is about.
        form: how it is published.
        at: when it happened; None is now.
        recipients: whom it is about; None is all of the mail's.
        about: members of the object of its kind that are otherwise than usual; one that is None is left out.

    Raises:
        ValueError: there is no identity notification of that kind.
    """
    if form == "notificationType" and kind in KINDS and kind not in NOTIFIED:
        raise ValueError(f"kind: {kind!r} is never told by an identity notification: use form='eventType'")
    told: dict[str, Any] = {form: kind, "mail": _mail(kind, mail, form)}
    made = particulars.BY_KIND.get(kind)
    if made is not None:
        name, members = made(
            tuple(mail.recipients if recipients is None else recipients), at or datetime.now(UTC)
        )
        told[name] = {key: value for key, value in (members | dict(about or {})).items() if value is not None}
    return told


def _mail(kind: str, mail: Sent, form: Form) -> dict[str, Any]:
    told: dict[str, Any] = {
        "timestamp": stamp(mail.at),
        "source": mail.sender,
        "sourceArn": f"arn:aws:ses:{mail.region}:{_ACCOUNT}:identity/{mail.sender.rpartition('@')[2]}",
        "sendingAccountId": _ACCOUNT,
        "messageId": mail.message_id,
        "destination": list(mail.recipients),
    }
    if form == "notificationType":
        return told | {"sourceIp": "192.0.2.1", "callerIdentity": "app"}
    common: dict[str, Any] = {
        "from": [mail.sender],
        "to": list(mail.recipients),
        "messageId": mail.message_id,
    }
    headers = [
        {"name": "From", "value": mail.sender},
        {"name": "To", "value": ", ".join(mail.recipients)},
        {"name": "MIME-Version", "value": "1.0"},
    ]
    # A template's Send comes before the template is filled in, so there is no subject yet.
    if mail.subject is not None and kind != "Rendering Failure":
        common["subject"] = mail.subject
        headers.append({"name": "Subject", "value": mail.subject})
    tags = {
        "ses:operation": ["SendEmail"],
        "ses:configuration-set": [mail.configuration_set],
        "ses:source-ip": ["192.0.2.1"],
        "ses:from-domain": [mail.sender.rpartition("@")[2]],
        "ses:caller-identity": ["app"],
    }
    return told | {
        "headersTruncated": False,
        "headers": headers,
        "commonHeaders": common,
        "tags": tags | {name: [value] for name, value in mail.tags.items()},
    }
