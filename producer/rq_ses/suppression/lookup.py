"""Asks the suppression list about many addresses at once: for claims, which have no time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis import Redis

from rq_ses.keys import keys_of
from rq_ses.server.stored import answered
from rq_ses.suppression.entry import Suppressed, bucket_key, read_entry


class Lookup:
    """The list, as whoever sends asks it. Every method may raise redis.exceptions.RedisError.

    Args:
        connection: a client under the deployment's own keys, where the list stands.
    """

    def __init__(self, connection: Redis) -> None:
        # redis-py's types cover both of its faces, the asynchronous one too.
        self._connection: Any = connection
        self._keys = keys_of(connection)

    def is_listed(self) -> bool:
        """Tell whether the list has any addresses."""
        return bool(self._connection.exists(self._keys.suppressed))

    def suppressed_of(self, addresses: Iterable[str]) -> dict[str, Suppressed]:
        """Return those of some addresses, in their normal forms, that are on the list: one round trip."""
        asked = list(dict.fromkeys(addresses))
        if not asked:
            return {}
        # No transaction: a full Redis 7 takes none, not even one that only reads.
        with self._connection.pipeline(transaction=False) as pipeline:
            for address in asked:
                pipeline.hget(bucket_key(self._keys, address), address)
            values = pipeline.execute(raise_on_error=False)
        found = zip(asked, map(answered, values), strict=True)
        return {address: read_entry(address, value) for address, value in found if value is not None}
