"""Where a configuration set publishes SES's events to.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetConfigurationSetEventDestinations.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from rq_ses.text.plaintext import one_line
from rq_ses_worker.ses.account import members_of
from rq_ses_worker.ses.outcome import Outcome, Terminal

_PATH: Final = "/v2/email/configuration-sets/"
_MOST: Final = 20
_KINDS: Final = {
    "SnsDestination": ("SNS", "TopicArn"),
    "EventBridgeDestination": ("EventBridge", "EventBusArn"),
    "KinesisFirehoseDestination": ("Firehose", "DeliveryStreamArn"),
    "CloudWatchDestination": ("CloudWatch", ""),
    "PinpointDestination": ("Pinpoint", "ApplicationArn"),
}


@dataclass(frozen=True, slots=True)
class EventDestination:
    """One of the places to which a configuration set publishes."""

    name: str
    enabled: bool
    events: tuple[str, ...]
    """SEND, REJECT, BOUNCE, COMPLAINT, DELIVERY, …"""
    service: str
    """SNS, EventBridge, Firehose, CloudWatch, Pinpoint, or "" for one that this build doesn't know."""
    target: str
    """ARN of the topic, bus or stream; "" where there is none."""

    @property
    def place(self) -> str:
        """Where it leads, for people."""
        return f"{self.service or 'another service'}{f' ({self.target})' if self.target else ''}"


def destinations_path(configuration_set: str) -> str:
    """Return the path of GetConfigurationSetEventDestinations.

    Raises ValueError if the name is nothing but dots, which a path doesn't keep.
    """
    if not configuration_set.strip("."):
        raise ValueError(f"{configuration_set!r} is no name of a configuration set")
    return f"{_PATH}{quote(configuration_set, safe='')}/event-destinations"


def read_destinations(outcome: Outcome, body: bytes) -> tuple[EventDestination, ...] | None:
    """Return the destinations an answer tells of, None if SES says that there is no such set.

    Raises AccountRefused if the answer says neither.
    """
    if isinstance(outcome, Terminal) and outcome.status == 404 and outcome.code == "NotFoundException":
        return None
    members = members_of("GetConfigurationSetEventDestinations", outcome, body)
    found = members.found.get("EventDestinations")
    if found is None:
        return ()
    if not isinstance(found, list):
        raise members.odd("has no list as EventDestinations")
    return tuple(_destination(one) for one in found[:_MOST] if isinstance(one, dict))


def _destination(members: dict[str, Any]) -> EventDestination:
    service, target = "", ""
    for member, (name, arn) in _KINDS.items():
        inside = members.get(member)
        if isinstance(inside, dict):
            service, target = name, _word(inside.get(arn))
    events = members.get("MatchingEventTypes")
    return EventDestination(
        _word(members.get("Name")),
        members.get("Enabled") is True,
        tuple(_word(event).upper() for event in events[:_MOST]) if isinstance(events, list) else (),
        service,
        target,
    )


def _word(value: Any) -> str:
    return one_line(value, 255) if isinstance(value, str) else ""
