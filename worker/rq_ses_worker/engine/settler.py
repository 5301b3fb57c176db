"""The thread that writes outcomes: in batches, and for as long as Redis is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from rq_ses_worker.engine.settling.along import GoingAlong
from rq_ses_worker.engine.settling.batches import Batches, in_steps
from rq_ses_worker.engine.settling.unwritable import Unwritable, Unwritables
from rq_ses_worker.engine.settling.unwritten import Unwritten
from rq_ses_worker.engine.threads.outage import Outage, passes
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.lifecycle.settling.counts import EVERY
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import raise_if_denied

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger(__name__)

_PAUSE: Final = 0.25
"""Seconds between two tries while Redis is away."""


class Settler:
    """Settles what `put` is given; nothing is dropped while the process lives.

    Args:
        lifecycle: the transitions.
        shared: an execution leaves its leases once it is settled, and the dispatcher is woken.
        tally: counts attempts and what was written.
        queues: names, for the log, in the order of the leases' places.
        several: outcomes that are worth a batch of their own.
        threads: that send.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        shared: Shared,
        *,
        tally: Tally | None = None,
        queues: Sequence[str] = (),
        several: int = 1,
        threads: int = 1,
    ) -> None:
        self._lifecycle = lifecycle
        self._shared = shared
        self._unwritten = Unwritten(shared, tally, queues)
        self._batches = Batches(
            several,
            # What is leased, and has no outcome yet, is being sent, or held ready.
            ready=lambda waiting: len(shared.leases) - waiting > threads,
            coming=lambda: self.along.under_way or shared.wake.is_set(),
        )
        self.along = GoingAlong(lifecycle, self._batches, self._unwritten)
        """What of it the dispatcher writes with its claims."""
        self._unwritable = Unwritables()
        self._thread = shared.threads.thread("settler", self._work)
        self._given_up = threading.Event()

    def __contains__(self, lease: Lease) -> bool:
        """Tell whether an outcome of this lease waits to be written."""
        return lease in self._unwritten

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, settlement: Settlement) -> None:
        """Take a settlement; it is written within a few milliseconds, or as soon as Redis is back."""
        self._unwritten.add(settlement)
        self._batches.put(settlement)
        if self._batches.many and not self._shared.wake.is_set():
            self._shared.wake.set()

    def stop(self, timeout: float) -> bool:
        """Settle what is waiting, for at most `timeout` seconds; tell whether all of it was written."""
        self._batches.end()
        self._thread.join(timeout)
        self._given_up.set()
        if self._unwritten and not self._thread.is_alive():
            self._try_once_more()
        return not self._unwritten

    def _try_once_more(self) -> None:
        """Write what can be after the thread has died: a mail whose receipt stands isn't sent again.

        Of a batch that is refused each outcome is written as far as it may be.
        """
        try:
            self._settle(self._unwritten.certain())
        except Exception as exc:  # noqa: BLE001 - why the thread died is told; each outcome is logged next
            self._shared.trouble.note(exc if isinstance(exc, RedisError) else None)

    def log_unsettled(self) -> None:
        """Log each outcome that is not written, in full: it stands nowhere else."""
        self._unwritten.log_all()

    def _work(self) -> None:
        last = False
        while not last:
            batch, last = self._batches.take(self._rest())
            if batch:
                self._unwritten.attempted(batch)
                self._write(batch)
            self._retry()
        while self._unwritable and not self._given_up.wait(_PAUSE):
            self._retry()
        if not self._given_up.is_set():
            self._lifecycle.count()

    def _rest(self) -> float | None:
        """Show the counts that are due; return the seconds until there is something to do (None: unknown)."""
        # What is being written along with a claim has yet to be counted.
        rest = EVERY if self.along.under_way else self._lifecycle.count(now=False)
        return min((one for one in (rest, self._unwritable.wait) if one is not None), default=None)

    def _write(self, batch: list[Settlement]) -> None:
        """Write a batch, for as long as it takes; what raises something unforeseen, each by itself."""
        outage = Outage(log, f"{len(batch)} outcomes wait to be settled", self._shared.trouble)
        while batch and not self._given_up.is_set():
            batch = [one for one in self._without_uncertain_ends(batch) if one.lease in self._unwritten]
            try:
                self._settle(batch)
            except RedisError as exc:
                raise_if_denied(exc)
                if not passes(exc):
                    self._write_singly(batch)
                    return
                outage.failed(exc)
                self._given_up.wait(_PAUSE)
            except Exception:  # noqa: BLE001 - it may pass, and must not keep the others from being settled
                self._write_singly(batch)
                return
            else:
                outage.over()
                self.along.failing = False
                return

    def _without_uncertain_ends(self, batch: list[Settlement]) -> list[Settlement]:
        """Leave out the ends of dead leases after trouble with Redis: their workers may live, and renew them.

        The lease of a worker that is dead all the same is found by the next reclaim.
        """
        if self._shared.trouble.age >= self._shared.leases.recovery:
            return batch
        for settlement in batch:
            if settlement.overdue:
                self._unwritten.leave(settlement)
        return [settlement for settlement in batch if not settlement.overdue]

    def _settle(self, batch: list[Settlement]) -> None:
        for together in in_steps(batch):
            together = self._unwritten.as_leased(together)
            self._unwritten.written(together, self._lifecycle.settle(together, clock=time.monotonic()))
            self._shared.wake.set()

    def _write_singly(self, batch: list[Settlement]) -> None:
        """Write each outcome by itself; what can't be written is tried again later."""
        events.OUTCOMES_UNWRITABLE.log(log, trace=True, outcomes=len(batch))
        failed = []
        for settlement in batch:
            try:
                if settlement.lease in self._unwritten:
                    self._settle([settlement])
            except RedisError as exc:
                raise_if_denied(exc)
                failed.append(settlement)
            except Exception:  # noqa: BLE001 - told above
                failed.append(settlement)
        self._unwritable.add(failed)

    def _retry(self) -> None:
        """Try again what could not be written alone and is due."""
        for one in self._unwritable.due():
            try:
                for settlement in self._without_uncertain_ends([one.settlement]):
                    self._settle([settlement])
            except RedisError as exc:
                raise_if_denied(exc)
                self._shared.trouble.note(exc)
                self._failed_again(one, counts=not passes(exc) and self._others_pass())
            except Exception:  # noqa: BLE001 - it is told when it is set aside
                self._failed_again(one, counts=self._others_pass())
            else:
                self._unwritable.remove(one)

    def _others_pass(self) -> bool:
        """Tell whether outcomes can be written at all: what none can be is no defect of one."""
        try:
            self._lifecycle.settle([], clock=time.monotonic())
        except Exception:  # noqa: BLE001 - that is the answer
            return False
        return True

    def _failed_again(self, one: Unwritable, *, counts: bool) -> None:
        if one.settlement.lease not in self._unwritten:
            self._unwritable.remove(one)  # written, and the rest of it failed
        elif one.failed(counts=counts):
            self._unwritable.remove(one)
            self._unwritten.set_aside(one.settlement)
