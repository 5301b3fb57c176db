"""What all workers of an account share, read from Redis for those who look: in bounded time, only read."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis.exceptions import RedisError

from rq_ses.gate import GateState
from rq_ses.outcomes.backlog import Backlog
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.status.snapshot import QueueState
from rq_ses.status.whole import read_whole

TIMEOUT: Final = 1.0
"""Seconds for each command, and for connecting."""

FRESH: Final = 1.0
"""Seconds for which a reading, or the lack of one, is shown to others who ask."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """Queues and the account's gate at one moment; `gate` is None where its key isn't a gate."""

    queues: tuple[QueueState, ...]
    gate: GateState | None
    hooks: tuple[Backlog, ...] = ()
    feedback: Mapping[str, int] = field(default_factory=dict)
    """How many events of each kind SES has told."""


class SharedReader:
    """Reads the shared state of some queues and an account; threads may share it.

    What stands in `partitions` (their prefixes, "" for none) is summed.
    """

    def __init__(
        self, redis_url: str, queues: Sequence[str], account: str, region: str, partitions: str = ""
    ) -> None:
        self._server = Location(redis_url, None)
        self._prefixes = partitions
        self._queues = tuple(queues)
        self._account = (account, region)
        self._lock = threading.Lock()
        self._partitions: Partitions | None = None
        self._last: SharedState | None = None
        self._read_at = float("-inf")

    def read(self) -> SharedState | None:
        """Return the state, None if Redis doesn't answer; takes a few time-outs at most."""
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH:
                self._last = self._read()
                self._read_at = time.monotonic()
            return self._last

    def _read(self) -> SharedState | None:
        if self._partitions is None:
            self._partitions = Partitions.at(
                self._server, self._prefixes, socket_timeout=TIMEOUT, connect_timeout=TIMEOUT
            )
        try:
            found = read_whole(self._partitions, self._queues, account=self._account, mails=0, workers=False)
        except RedisError:
            return None
        gate = found.gates[0] if found.gates else None
        return SharedState(found.queues, gate, found.hooks, found.feedback)
