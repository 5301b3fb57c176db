"""What SES tells of a mail that it has taken: which events follow, in which order, about whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses_worker.simulator.events.event import NOTIFIED, Form, Sent
from rq_ses_worker.simulator.records.mail import Mail

FORMS: Final[Mapping[str, tuple[Form, ...]]] = {
    "event": ("eventType",),
    "notification": ("notificationType",),
    "both": ("eventType", "notificationType"),
}
"""The forms of each event, by the setting `events_form`: an identity may be told by both at once."""

_SUPPRESSED: Final = {"bounceType": "Permanent", "bounceSubType": "Suppressed", "reportingMTA": None}
_FULL: Final = {"bounceType": "Transient", "bounceSubType": "MailboxFull"}
_AWAY: Final = {"bounceType": "Transient", "bounceSubType": "General", "reportingMTA": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One event that is to be told.

    `about` are members of its object that are otherwise than usual.
    """

    kind: str
    recipients: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


def occurrences(mail: Mail) -> list[Occurrence]:
    """Return what happens to a mail by its recipients, and by what their addresses or scripts say."""
    if mail.rendering_failure is not None:
        name = mail.template.name if mail.template else None
        about = {"templateName": name or "", "errorMessage": mail.rendering_failure}
        return [Occurrence(kind="Rendering Failure", recipients=mail.recipients, about=about)]
    fates: dict[str, list[str]] = {}
    for address in mail.recipients:
        fates.setdefault(mail.events.get(address, "delivery"), []).append(address)
    if "virus" in fates:
        return [Occurrence(kind="Reject", recipients=mail.recipients)]

    def of(*names: str) -> tuple[str, ...]:
        return tuple(address for name in names for address in fates.get(name, ()))

    told = [
        Occurrence(kind="Send", recipients=mail.recipients),
        Occurrence(kind="DeliveryDelay", recipients=of("delay")),
        Occurrence(kind="Delivery", recipients=of("delivery", "delay", "complaint", "auto-reply")),
        Occurrence(kind="Bounce", recipients=of("bounce")),
        Occurrence(kind="Bounce", recipients=of("suppressed"), about=_bounce(_SUPPRESSED, of("suppressed"))),
        Occurrence(kind="Bounce", recipients=of("softbounce"), about=_full(of("softbounce"))),
        # An answer from out of the office comes to where bounces go.
        Occurrence(kind="Bounce", recipients=of("auto-reply"), about=_bounce(_AWAY, of("auto-reply"))),
        Occurrence(kind="Complaint", recipients=of("complaint")),
    ]
    return [one for one in told if one.recipients]


def forms_of(kind: str, setting: str) -> list[Form]:
    """Return the forms in which an event is told: identities are notified of three kinds alone."""
    return [form for form in FORMS[setting] if form == "eventType" or kind in NOTIFIED]


def sent(mail: Mail, kind: str, region: str) -> Sent:
    """Return a mail as an event tells of it: an entry of a SendBulkEmail has tags of its own."""
    parsed = mail.parsed
    unfilled = mail.template is not None and kind == "Send"
    return Sent(
        message_id=mail.message_id,
        sender=mail.sender,
        recipients=mail.recipients,
        subject=None if unfilled else parsed.subject,
        tags=parsed.tags,
        configuration_set=parsed.configuration_set or "events",
        region=region,
        at=datetime.fromtimestamp(mail.at, UTC),
    )


def _bounce(about: Mapping[str, Any], recipients: tuple[str, ...]) -> dict[str, Any]:
    """Return a bounce without a report of another server's, so without its words."""
    return {**about, "bouncedRecipients": [{"emailAddress": address} for address in recipients]}


def _full(recipients: tuple[str, ...]) -> dict[str, Any]:
    report = {"action": "failed", "status": "5.2.2", "diagnosticCode": "smtp; 552 5.2.2 mailbox full"}
    return _FULL | {"bouncedRecipients": [{"emailAddress": address} | report for address in recipients]}
