"""The thread that writes outcomes: in batches, and for as long as Redis is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Final

from redis.exceptions import RedisError

from rq_ses_worker.engine.telling import Telling
from rq_ses_worker.engine.threads.outage import Outage, passes
from rq_ses_worker.engine.threads.shift import Shift
from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.lifecycle.retry import without_others
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.tally import Tally
from rq_ses_worker.server.denial import raise_if_denied

log = logging.getLogger(__name__)

GATHER: Final = 0.002
"""Seconds for which the first outcome of a batch waits for others, and again while these are few."""

PATIENCE: Final = 3
"""Times it waits for them at most."""

BATCH: Final = 256

STRIKES: Final = 5
"""Times an outcome alone can't be written, while others can, until it is set aside."""

STRIPPED: Final = 3
"""Times until it is tried without what users have put into its meta: the one part that isn't ours."""

_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0


@dataclass(slots=True)
class _Stubborn:
    """An outcome that could not be written alone."""

    settlement: Settlement
    again_at: float
    pause: float = _PAUSE
    strikes: int = 1


class Settler:
    """Settles what `put` is given; nothing is dropped while the process lives.

    Args:
        lifecycle: used by this thread alone.
        shift: an execution leaves its leases once it is settled, and the dispatcher is woken.
        tally: counts attempts and what was written.
        queues: names, for the log, in the order of the leases' places.
        several: outcomes that are worth a batch of their own.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        shift: Shift,
        *,
        tally: Tally | None = None,
        queues: Sequence[str] = (),
        several: int = 1,
    ) -> None:
        self._lifecycle = lifecycle
        self._shift = shift
        self._tally = tally
        self._telling = Telling(queues)
        self._several = several
        self._waiting: SimpleQueue[Settlement | None] = SimpleQueue()
        self._open: dict[Lease, Settlement] = {}
        self._stubborn: list[_Stubborn] = []
        self._thread = shift.parts.thread("settler", self._work)
        self._cut = threading.Event()

    def __contains__(self, lease: Lease) -> bool:
        """Tell whether an outcome of this lease waits to be written."""
        return lease in self._open

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def put(self, settlement: Settlement) -> None:
        """Take a settlement; it is written within a few milliseconds, or as soon as Redis is back."""
        self._open[settlement.lease] = settlement
        self._waiting.put(settlement)

    def stop(self, timeout: float) -> bool:
        """Settle what is waiting, for at most `timeout` seconds; tell whether all of it was written."""
        self._waiting.put(None)
        self._thread.join(timeout)
        self._cut.set()
        if self._open and not self._thread.is_alive():
            self._try_once_more()
        return not self._open

    def _try_once_more(self) -> None:
        """Write what can be after the thread has died: a mail whose receipt stands isn't sent again.

        Of a batch that is refused each outcome is written as far as it may be.
        """
        try:
            self._settle([one for one in list(self._open.values()) if not one.overdue])
        except Exception as exc:  # noqa: BLE001 - why the thread died is told; each outcome is logged next
            self._shift.trouble.note(exc if isinstance(exc, RedisError) else None)

    def log_unsettled(self) -> None:
        """Log each outcome that is not written, in full: it stands nowhere else."""
        for settlement in list(self._open.values()):
            if not settlement.overdue:
                events.MAIL_UNSETTLED.log(
                    log,
                    job_id=settlement.lease.job_id,
                    action=settlement.action,
                    **self._telling.whole(settlement),
                )

    def _work(self) -> None:
        last = False
        while not last:
            batch, last = self._gather()
            if batch:
                if self._tally:
                    self._tally.attempted(batch)
                self._write(batch)
            self._retry()
        while self._stubborn and not self._cut.wait(_PAUSE):
            self._retry()

    def _gather(self) -> tuple[list[Settlement], bool]:
        try:
            first = self._waiting.get(timeout=self._patience)
        except Empty:
            return [], False
        if first is None:
            return [], True
        batch = [first]
        for _ in range(PATIENCE):
            time.sleep(GATHER)
            if self._waiting.qsize() >= self._several:
                break
        while len(batch) < BATCH:
            try:
                settlement = self._waiting.get_nowait()
            except Empty:
                break
            if settlement is None:
                return batch, True
            batch.append(settlement)
        return batch, False

    @property
    def _patience(self) -> float | None:
        """Seconds until an outcome that could not be written is due again; None is no such."""
        if not self._stubborn:
            return None
        return max(0.0, min(one.again_at for one in self._stubborn) - time.monotonic())

    def _write(self, batch: list[Settlement]) -> None:
        """Write a batch, for as long as it takes; what raises something unforeseen, each by itself."""
        outage = Outage(log, f"{len(batch)} outcomes wait to be settled", self._shift.trouble)
        while batch and not self._cut.is_set():
            batch = self._sure(batch)
            try:
                self._settle(batch)
            except RedisError as exc:
                raise_if_denied(exc)
                if not passes(exc):
                    self._write_singly(batch)
                    return
                outage.failed(exc)
                self._cut.wait(_PAUSE)
            except Exception:  # noqa: BLE001 - it may pass, and must not keep the others from being settled
                self._write_singly(batch)
                return
            else:
                outage.over()
                return

    def _sure(self, batch: list[Settlement]) -> list[Settlement]:
        """Leave out the ends of dead leases after trouble with Redis: their workers may live, and renew them.

        Whoever is dead all the same is found again.
        """
        if self._shift.trouble.age >= self._shift.leases.recovery:
            return batch
        for settlement in batch:
            if settlement.overdue:
                self._open.pop(settlement.lease, None)
        return [settlement for settlement in batch if not settlement.overdue]

    def _settle(self, batch: list[Settlement]) -> None:
        if not batch:
            return
        words = self._lifecycle.settle(batch, clock=time.monotonic())
        for settlement in batch:
            self._shift.leases.drop(settlement.lease)
            self._open.pop(settlement.lease, None)
        self._shift.wake.set()
        if self._tally:
            self._tally.settled(batch, words)
        for settlement, word in zip(batch, words, strict=True):
            self._telling.settled(settlement, word)

    def _write_singly(self, batch: list[Settlement]) -> None:
        """Write each outcome by itself; what can't be written is tried again later."""
        events.OUTCOMES_UNWRITABLE.log(log, trace=True, outcomes=len(batch))
        failed = []
        for settlement in batch:
            try:
                if settlement.lease in self._open:
                    self._settle([settlement])
            except RedisError as exc:
                raise_if_denied(exc)
                failed.append(settlement)
            except Exception:  # noqa: BLE001 - told above
                failed.append(settlement)
        again_at = time.monotonic() + _PAUSE
        self._stubborn += [_Stubborn(one, again_at) for one in failed]

    def _retry(self) -> None:
        """Try again what could not be written alone and is due."""
        clock = time.monotonic()
        for one in [one for one in self._stubborn if one.again_at <= clock]:
            try:
                for settlement in self._sure([one.settlement]):
                    self._settle([settlement])
            except RedisError as exc:
                raise_if_denied(exc)
                self._shift.trouble.note(exc)
                self._strike(one, counts=not passes(exc) and self._others_pass())
            except Exception:  # noqa: BLE001 - it is told when it is set aside
                self._strike(one, counts=self._others_pass())
            else:
                self._stubborn.remove(one)

    def _others_pass(self) -> bool:
        """Tell whether outcomes can be written at all: what none can be is no defect of one."""
        try:
            self._lifecycle.settle([], clock=time.monotonic())
        except Exception:  # noqa: BLE001 - that is the answer
            return False
        return True

    def _strike(self, one: _Stubborn, *, counts: bool) -> None:
        one.strikes += counts
        if one.settlement.lease not in self._open:
            self._stubborn.remove(one)  # written, and the rest of it failed
        elif one.strikes >= STRIKES:
            events.OUTCOME_SET_ASIDE.log(
                log,
                trace=True,
                job_id=one.settlement.lease.job_id,
                action=one.settlement.action,
                **self._telling.whole(one.settlement),
            )
            self._stubborn.remove(one)
            self._open.pop(one.settlement.lease, None)
            # Not renewed any more: it ends like that of a worker that was lost.
            self._shift.leases.drop(one.settlement.lease)
            self._shift.wake.set()
        else:
            if one.strikes == STRIPPED:
                one.settlement = replace(one.settlement, meta=without_others(one.settlement.meta))
            one.pause = min(2 * one.pause, _LONGEST_PAUSE)
            one.again_at = time.monotonic() + one.pause
