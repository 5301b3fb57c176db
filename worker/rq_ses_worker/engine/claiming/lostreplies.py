"""What a claim whose reply was lost has taken: it may have been carried out, or be carried out later."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from redis.exceptions import RedisError

from rq_ses_worker.engine.attempt import unsent
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)


class LostReplies:
    """For the length of a lease after Redis failed, finds what stands there in our name and isn't known here.

    Args:
        lifecycle: the transitions.
        leases: what is known here.
    """

    def __init__(self, lifecycle: Lifecycle, leases: Leases) -> None:
        self._lifecycle = lifecycle
        self._leases = leases
        self._until = 0.0

    def note(self) -> None:
        """Note that Redis failed: the reply of a claim may have been lost."""
        self._until = time.monotonic() + self._leases.length

    def expected(self, clock: float) -> bool:
        """Tell whether something may be found at `clock` (time.monotonic())."""
        return clock < self._until

    def adopt(self) -> Iterator[tuple[Claim, float]]:
        """Yield each claim that is taken on, and the moment since which its lease surely stands.

        Raises RedisError.
        """
        # Taken before the server is asked: what is settled in between must not look unknown.
        known = set(self._leases.held())
        for lease in self._lifecycle.held():
            clock = time.monotonic()
            if lease not in known and self._lifecycle.renew([lease]):
                claim = self._lifecycle.adopt(lease)
                if claim:
                    events.MAIL_ADOPTED.log(log, job_id=lease.job_id)
                    yield claim, clock

    def give_back(self) -> None:
        """Return at the worker's end what may be found: nobody has begun to send it."""
        if not self.expected(time.monotonic()):
            return
        try:
            taken = [unsent(lease) for lease in self._lifecycle.held() if lease not in self._leases]
            if taken:
                self._lifecycle.settle(taken, clock=time.monotonic())
        except RedisError as exc:
            events.CLAIM_LEFT.log(log, error=type(exc).__name__)
