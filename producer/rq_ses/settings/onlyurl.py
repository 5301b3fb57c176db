"""The URL of Redis, where a command needs no other setting of a producer's, and no other one is set.

Then it is read without the classes that declare settings, which take longer to import than Redis to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rq_ses.settings.environment import PREFIX
from rq_ses.settings.known import PRODUCERS

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"

_URL: Final = f"{PREFIX}REDIS_URL"
_CONFIG: Final = f"{PREFIX}CONFIG"
_QUEUE: Final = f"{PREFIX}QUEUE"
_OTHERS: Final = {*PRODUCERS, _CONFIG} - {_URL, _QUEUE}


def only_url(option: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the URL, not checked; None if a setting is there that must be read, or may be wrong."""
    given = {name.upper(): value for name, value in environment.items() if value}
    if not _OTHERS.isdisjoint(given) or not _is_queue(given.get(_QUEUE)):
        return None
    return given.get(_URL, DEFAULT_URL) if option is None else option


def _is_queue(name: str | None) -> bool:
    if name is None:
        return True
    from rq_ses.contract import checked_queue

    try:
        checked_queue(name)
    except ValueError:
        return False
    return True
