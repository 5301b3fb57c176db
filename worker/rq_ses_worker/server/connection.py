"""How a worker reaches Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redis import Redis

from rq_ses.keys import Keys
from rq_ses.server import connection
from rq_ses_worker.server.descriptors import connects_without_files

if TYPE_CHECKING:
    from rq_ses.server.partitions import Partitions

SOCKET_TIMEOUT: Final = 5.0
"""Seconds after which a command to Redis is given up (and tried again)."""


def connect(redis_url: str, keys: Keys | None = None) -> Redis:
    """Return a client for a worker: time-outs on, and no retries of its own (a claim must not go twice).

    It works under `keys`; None: the process's own.
    """
    return connects_without_files(
        connection.connect(
            redis_url, socket_timeout=SOCKET_TIMEOUT, connect_timeout=SOCKET_TIMEOUT, keys=keys
        )
    )


def connect_partitions(redis_url: str, prefixes: str) -> Partitions:
    """Return such clients for the partitions of a queue; "" is a queue without partitions."""
    from rq_ses.server.location import Location
    from rq_ses.server.partitions import Partitions

    server = Location(redis_url, None)
    found = Partitions.at(server, prefixes, socket_timeout=SOCKET_TIMEOUT, connect_timeout=SOCKET_TIMEOUT)
    for client in (found.own, *found):
        connects_without_files(client)
    return found
