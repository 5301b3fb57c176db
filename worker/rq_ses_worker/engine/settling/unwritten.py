"""The outcomes that are not written yet: kept until they are, and counted and logged then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from rq_ses_worker.engine.settling.outcomelog import OutcomeLog
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.records import Lease, Settlement, Word
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger("rq_ses_worker.engine.settler")


class Unwritten:
    """Whether an outcome waits to be written, or writing it has failed. Threads may share it.

    Args:
        shared: an execution leaves its leases once it is settled, and the dispatcher is woken.
        tally: counts attempts and what was written.
        queues: names, for the log, in the order of the leases' places.
    """

    def __init__(self, shared: Shared, tally: Tally | None, queues: Sequence[str]) -> None:
        self._shared = shared
        self._tally = tally
        self._log = OutcomeLog(queues)
        self._kept: dict[Lease, Settlement] = {}
        # Two threads settle: each number that is counted takes a look and a write.
        self._counting = threading.Lock()

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def all(self) -> list[Settlement]:
        """Return them as they are now."""
        return list(self._kept.values())

    def add(self, settlement: Settlement) -> None:
        """Keep an outcome until it is written."""
        self._kept[settlement.lease] = settlement

    def drop(self, lease: Lease) -> None:
        """Keep one no longer that isn't ours to write any more."""
        self._kept.pop(lease, None)

    def attempted(self, batch: Sequence[Settlement]) -> None:
        """Count attempts, once each."""
        if self._tally:
            with self._counting:
                self._tally.attempted(batch)

    def written(self, batch: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Note that outcomes were written, and what settle.lua said of each."""
        for settlement in batch:
            self._shared.leases.drop(settlement.lease)
            self._kept.pop(settlement.lease, None)
        self._shared.wake.set()
        if self._tally:
            with self._counting:
                self._tally.settled(batch, words)
        for settlement, word in zip(batch, words, strict=True):
            self._log.settled(settlement, word)

    def set_aside(self, settlement: Settlement) -> None:
        """Give an outcome up: its lease isn't renewed any more, and ends like that of a lost worker."""
        events.OUTCOME_SET_ASIDE.log(
            log,
            trace=True,
            job_id=settlement.lease.job_id,
            action=settlement.action,
            **self._log.whole(settlement),
        )
        self._kept.pop(settlement.lease, None)
        self._shared.leases.drop(settlement.lease)
        self._shared.wake.set()

    def tell(self) -> None:
        """Log each in full: it stands nowhere else."""
        for settlement in self.all():
            if not settlement.overdue:
                events.MAIL_UNSETTLED.log(
                    log,
                    job_id=settlement.lease.job_id,
                    action=settlement.action,
                    **self._log.whole(settlement),
                )
