"""How many mails a worker claims: one for each idle thread, and under a backlog some to be held ready."""

from __future__ import annotations

import math
from typing import Final

from rq_ses_worker.account.brake import Brake
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.lifecycle.leases import Leases

SPARE: Final = 0.25
"""Mails held beyond one a thread, as a share of the threads: outcomes to be settled, and mails held ready."""

LASTING: Final = 0.1
"""Seconds of a backlog before mails are held ready: in these each idle worker has looked for some, too."""

SOON: Final = 0.05
"""Seconds without a thread that became free after which no mail is held ready: it would only wait there."""

GATHER: Final = 0.001
"""Seconds for which a claim of few mails soon after another waits: more threads may become idle meanwhile."""


def several(threads: int) -> int:
    """Return how many mails are worth a round trip of a busy worker: all that it holds to spare."""
    return max(1, int(threads * SPARE))


class Demand:
    """Reckons how many mails to claim; moments are those of time.monotonic().

    Args:
        senders: the threads that send.
        leases: what the worker holds.
        brake: how many may be begun after failures.
    """

    def __init__(self, senders: Senders, leases: Leases, brake: Brake) -> None:
        self._senders = senders
        self._leases = leases
        self._brake = brake
        self._ready = int(senders.count * SPARE)
        self._several = several(senders.count)
        self._most = senders.count + self._several
        self._backlog_since = math.inf
        self._claimed_at = 0.0

    def wanted(self, clock: float, settled: int = 0) -> int:
        """Return how many mails to claim now; so many that are held are `settled` in the same round trip.

        With those held ready no thread waits for a claim, and a claim takes several. Other workers have had
        their chance before, and ours must be about to become free.
        """
        idle, room = self._senders.idle, self.room(settled)
        begun = self._brake.room(self._senders.busy)
        if begun < math.inf:
            return min(idle, room, int(begun))
        if clock - self._backlog_since < LASTING or clock - self._senders.ended_at > SOON:
            return min(idle, room)
        wanted = min(idle + self._ready, room)
        return wanted if idle > 0 or wanted >= self._several else 0

    def room(self, settled: int) -> int:
        """Return how many mails this worker may hold beyond those it holds when so many are settled."""
        return self._most - len(self._leases) + settled

    def is_early(self, wanted: int, clock: float) -> bool:
        """Tell whether so few had better be claimed a moment later, together with others."""
        return 0 < wanted < self._several and clock < self._claimed_at + GATHER

    def claimed(self, wanted: int, found: int, clock: float) -> None:
        """Note that a claim of `wanted` mails found so many: as many as that is a backlog."""
        self._claimed_at = clock
        self._backlog_since = min(self._backlog_since, clock) if found == wanted else math.inf
