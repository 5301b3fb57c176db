"""The terms of campaigns, for those who read their entries: unjudged, and a few of them kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from rq_ses.campaign.bulkjob import is_hash
from rq_ses.deadletter.reading.payload import Payload, Shared
from rq_ses.keys import keys_of
from rq_ses.server.jobdata import inflated

_KEPT: Final = 8


class SharedTerms:
    """Fetches terms from one server, each once as long as few are in use.

    Args:
        connection: a client.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection: Any = connection
        self._keys = keys_of(connection)
        self._kept: dict[str, Shared | None] = {}

    def of(self, payload: Payload) -> Shared | None:
        """Return the terms of a campaign's entries; None if there are none, or none that can be read.

        Raises redis.exceptions.RedisError.
        """
        terms = payload.fields.get("terms")
        if not is_hash(terms):
            return None
        if terms not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[terms] = read_shared(self._connection.get(self._keys.terms(terms)))
        return self._kept[terms]


def read_shared(stored: bytes | None) -> Shared | None:
    """Return terms as they are stored; None for what are none."""
    try:
        text = inflated(stored or b"").decode()
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Shared(text, fields) if isinstance(fields, Mapping) else None
