"""What is not written yet, whether it waits or has failed; and what follows when it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rq_ses_worker.engine.settling.outcomelog import OutcomeLog
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.records import Lease, Settlement, Word
from rq_ses_worker.logging import events

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger("rq_ses_worker.engine.settler")


class Unwritten:
    """Settlements by their leases; any thread may use it.

    Args:
        shared: an execution leaves its leases once it is settled.
        tally: counts attempts and what was written.
        queues: names, for the log, in the order of the leases' places.
    """

    def __init__(self, shared: Shared, tally: Tally | None, queues: Sequence[str]) -> None:
        self._shared = shared
        self._tally = tally
        self._outcome_log = OutcomeLog(queues)
        self._settlements: dict[Lease, Settlement] = {}
        # A tally's numbers are each written by one thread at a time.
        self._counting = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._settlements)

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._settlements

    def add(self, settlement: Settlement) -> None:
        """Note one that is to be written."""
        self._settlements[settlement.lease] = settlement

    def certain(self) -> list[Settlement]:
        """Return all but the ends of dead leases, which are found again."""
        return [one for one in list(self._settlements.values()) if not one.overdue]

    def as_leased(self, batch: Sequence[Settlement]) -> list[Settlement]:
        """Return a batch that is about to be written, with those marked whose leases may have run out."""
        leases, clock = self._shared.leases, time.monotonic()
        return [one if leases.stands(one.lease, clock) else one._replace(lapsed=True) for one in batch]

    def attempted(self, batch: Sequence[Settlement]) -> None:
        """Count the attempts of a batch that is about to be written."""
        if self._tally:
            with self._counting:
                self._tally.attempted(batch)

    def written(self, batch: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Forget a batch that was written, count and log it."""
        for settlement in batch:
            self._shared.leases.drop(settlement.lease)
            self._settlements.pop(settlement.lease, None)
        if self._tally:
            with self._counting:
                self._tally.settled(batch, words)
        for settlement, word in zip(batch, words, strict=True):
            self._outcome_log.settled(settlement, word)

    def leave(self, settlement: Settlement) -> None:
        """Leave it to whoever finds its lease overdue once more."""
        self._settlements.pop(settlement.lease, None)

    def set_aside(self, settlement: Settlement) -> None:
        """Give an outcome up: its lease isn't renewed any more, and ends like that of a lost worker."""
        job_id, action = settlement.lease.job_id, settlement.action
        events.OUTCOME_SET_ASIDE.log(
            log, trace=True, job_id=job_id, action=action, **self._outcome_log.whole(settlement)
        )
        self.leave(settlement)
        self._shared.leases.drop(settlement.lease)
        self._shared.wake.set()

    def log_all(self) -> None:
        """Log each outcome that is not written, in full: it stands nowhere else."""
        for settlement in self.certain():
            job_id, action = settlement.lease.job_id, settlement.action
            events.MAIL_UNSETTLED.log(
                log, job_id=job_id, action=action, **self._outcome_log.whole(settlement)
            )
