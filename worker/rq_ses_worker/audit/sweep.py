"""The clean-up of registries and times to live, by the server's clock: what is to be sent must not expire.

It takes the place of the clean-up that RQ's registries make by a client's clock: a host whose clock is wrong
would throw away other hosts' records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import Redis

from rq_ses import contract, states
from rq_ses.keys import keys_of
from rq_ses_worker.server.scripts import TYPED, Parts, lua

SCRIPT: Final[Parts] = (TYPED, "audit/sweep")

CHUNK: Final = 500
"""Entries a step looks at: a millisecond or two of the server."""

PAUSE: Final = 0.005
"""Seconds between two steps."""

SLICE: Final = 10_000
"""Queued mails at the end of a queue, and others, that a sweep looks at: 3 µs of the server each."""

_WAITING: Final = ("list", states.SCHEDULED)
"""Places of mails that are to be sent, as sweep.lua names them."""


class Sweep:
    """Looks through the places of one queue's mails.

    Args:
        connection: any client.
        queue: its name.
    """

    def __init__(self, connection: Redis, queue: str) -> None:
        keys = keys_of(connection)
        registries = [keys.registry(kind, queue) for kind in (states.SCHEDULED, *states.SETTLED)]
        self._keys = [keys.scratch, keys.queue(queue), *registries]
        self._prefixes = (keys.job_prefix, keys.results_prefix)
        self._connection: Any = connection
        self._script: Any = connection.register_script(lua(*SCRIPT))

    def run(self, pause: Callable[[float], bool] = lambda _: False) -> int:
        """Sweep once; return how many mails no longer expire. `pause` waits, and tells whether to stop.

        Of a long queue it looks at the newest `SLICE` mails, and at as many others, the next each minute.

        Raises:
            RedisError: the server is away; what was done is done, and it may simply be run again.
        """
        for place in states.SETTLED:
            self._walk(place, pause)
        minute = self._connection.time()[0] // 60
        kept = 0
        for place in _WAITING:
            newest, length = self._walk(place, pause, most=SLICE)
            kept += newest
            others = -(-length // SLICE) - 1
            if others > 0:
                kept += self._walk(place, pause, at=(1 + minute % others) * SLICE, most=SLICE)[0]
        return kept

    def _walk(
        self, place: str, pause: Callable[[float], bool], *, at: int = 0, most: float = math.inf
    ) -> tuple[int, int]:
        """Look at entries from `at` on; return how many no longer expire, and the length of the place."""
        looked = persisted = 0
        while True:
            read, at, kept, length = self._look(at, place)
            looked, persisted = looked + read, persisted + kept
            if read < CHUNK or looked >= most or pause(PAUSE):
                return persisted, length

    def keep(self, job_ids: Sequence[bytes]) -> None:
        """Take the time to live off those of these mails that are to be sent. Raises RedisError."""
        for at in range(0, len(job_ids), CHUNK):
            self._look(0, "jobs", *job_ids[at : at + CHUNK])

    def _look(self, at: int, place: str, *job_ids: bytes) -> tuple[int, int, int, int]:
        args = [*self._prefixes, contract.CANCELED_TTL, CHUNK, at, place, *job_ids]
        read, at, kept, length = self._script(keys=self._keys, args=args)
        return read, at, kept, length
