"""GetConfigurationSetEventDestinations: the configuration sets of the simulated account, and their topics.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetConfigurationSetEventDestinations.html
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rq_ses_worker.simulator.api.answers import Answer, error
from rq_ses_worker.simulator.options import Options

PATH: Final = b"/v2/email/configuration-sets/"

_DESTINATIONS: Final = b"/event-destinations"
_EVENTS: Final = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "RENDERING_FAILURE", "DELIVERY_DELAY")


def configuration_set_of(path: bytes) -> str | None:
    """Return the name that a path asks for, None if it is no such path."""
    _, found, named = path.rpartition(PATH)
    name = named.removesuffix(_DESTINATIONS)
    if not found or name == named or not name or b"/" in name:
        return None
    return unquote_to_bytes(name).decode("utf-8", "replace")


def get_event_destinations(name: str, options: Options) -> Answer:
    """Return SES's answer about a configuration set: its topics, an SNS destination for each."""
    sets: dict[str, list[str]] = {}
    for one in options.configuration_set:
        known, _, topic = one.partition("=")
        sets.setdefault(known, []).extend([topic] if topic else [])
    if name not in sets:
        return error(404, "NotFoundException", f"Configuration set <{name}> does not exist.")
    return Answer(200, members={"EventDestinations": list(map(_destination, sets[name]))})


def _destination(topic: str) -> dict[str, Any]:
    return {
        "Name": topic.rpartition(":")[2],
        "Enabled": True,
        "MatchingEventTypes": list(_EVENTS),
        "SnsDestination": {"TopicArn": topic},
    }
