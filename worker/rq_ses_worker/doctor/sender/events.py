"""Whether anybody hears of bounces and complaints: what the mails' configuration set publishes, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rq_ses_worker.doctor.account import denied, hint_of
from rq_ses_worker.doctor.finding import Finding, ok
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.lookups.configurationset import EventDestination
from rq_ses_worker.ses.outcome import described, summary

Ask = Callable[[str], tuple[EventDestination, ...] | None]
"""SesClient.get_event_destinations."""

_NEEDED: Final = ("BOUNCE", "COMPLAINT")
_READ: Final = ("SNS",)
_SET_UP: Final = (
    "add an SNS destination to it (SES console, Configuration sets, Event destinations) with at least "
    "Bounce, Complaint and Delivery, and let rq-ses feedback read the topic"
)


def check_events(configuration_set: str, *, given: bool, ask: Ask) -> Iterator[Finding]:
    """Yield whether a configuration set publishes events, and where.

    Args:
        configuration_set: its name; "" where none was named, and the sender's identity has none.
        given: whether it was named, or else is the identity's own.
        ask: asks SES for a set's event destinations.
    """
    if not configuration_set:
        yield Finding(
            "events.none",
            "info",
            "no configuration set was named, and the sender's identity has none by default: nobody is told "
            "of bounces and complaints but by mail",
            "name the one that your mails name with --configuration-set, or give the identity one",
        )
        return
    named = f"configuration set {configuration_set}" + ("" if given else " (the identity's own)")
    try:
        destinations = ask(configuration_set)
    except AccountRefused as exc:
        yield _unknown(named, exc)
        return
    if destinations is None:
        yield Finding(
            "events.set",
            "error",
            f"there is no {named} in this region: SES refuses mails that name it",
            "create it, or correct its name",
        )
        return
    yield from _judged(named, [one for one in destinations if one.enabled], destinations)


def _judged(
    named: str, enabled: list[EventDestination], destinations: tuple[EventDestination, ...]
) -> Iterator[Finding]:
    if not enabled:
        why = "its event destinations are switched off" if destinations else "it has no event destination"
        yield Finding("events.published", "warning", f"{named} publishes nothing: {why}", _SET_UP)
        return
    told = "; ".join(f"{', '.join(one.events).lower()} to {one.place}" for one in enabled)
    unread = [
        kind for kind in _NEEDED if not any(kind in one.events and one.service in _READ for one in enabled)
    ]
    if unread:
        yield Finding(
            "events.published",
            "warning",
            f"{named} publishes {told}, but {' and '.join(unread).lower()} events to no SNS topic",
            _SET_UP,
        )
    else:
        yield ok("events.published", f"{named} publishes {told}")


def _unknown(named: str, exc: AccountRefused) -> Finding:
    if denied(exc.outcome):
        return Finding(
            "events.published",
            "info",
            f"whether {named} publishes events can't be asked ({summary(exc.outcome)})",
            "allow ses:GetConfigurationSetEventDestinations on it for the doctor: rq-ses doctor --policy "
            "--configuration-set NAME",
        )
    return Finding(
        "events.published",
        "warning",
        f"whether {named} publishes events is not known ({described(exc.outcome)})",
        hint_of(exc.outcome) or "look in the SES console",
    )
