"""The dispatcher: claims mails for idle threads, and does what is due in between.

It runs in one thread. What it waits for (a thread that is free, a settled batch, a wake-up through Redis, the
end) comes through one event.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from redis.exceptions import RedisError

from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.gate import BREAKER_OPEN
from rq_ses_worker.engine.gatewatch import GateWatch
from rq_ses_worker.engine.senders import Senders, settlement, unsent
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.outage import Outage
from rq_ses_worker.engine.threads.shift import Shift
from rq_ses_worker.lifecycle.records import Claim, Overdue, Suspended
from rq_ses_worker.lifecycle.retry import History, RetryPolicy, lost_worker
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_job
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.tally import Tally
from rq_ses_worker.server.denial import raise_if_denied

log = logging.getLogger(__name__)

POLL: Final = 0.1
"""Seconds after which an idle worker looks again, if nothing wakes it before."""

GATHER: Final = 0.001
"""Seconds for which a claim of few mails soon after another waits: more threads may become idle meanwhile."""

SOON: Final = 0.05
"""Seconds without a thread that became free after which no mail is held ready: it would only wait there."""

GATE_LOOK: Final = 1.0
"""Seconds after which a closed gate is looked at again, however long it says: a hand may open it."""

_UNTOUCHED: Final = BREAKER_OPEN - {"probe"} | {"asking"}
"""Why a claim didn't even try to take a mail: whether Redis takes writes is unknown then."""

SPARE: Final = 0.25
"""Mails held beyond one a thread, as a share of the threads: outcomes to be settled, and mails held ready."""


def several(threads: int) -> int:
    """Return how many mails are worth a round trip of a busy worker: half of what it holds to spare."""
    return max(1, int(threads * SPARE) // 2)


class Burst:
    """How long a burst waits for mails that can't be sent yet.

    Args:
        max_wait: seconds, all waiting together; None is for as long as it takes.
    """

    def __init__(self, max_wait: float | None = None) -> None:
        self._max_wait = max_wait
        self._until: float | None = None

    def is_over(self, wait: float) -> bool:
        """Tell, when nothing can be sent for `wait` seconds, whether that is longer than it waits."""
        if self._max_wait is None:
            return False
        if self._until is None:
            self._until = time.monotonic() + self._max_wait
        return time.monotonic() + wait > self._until


class Dispatcher:
    """Keeps the senders busy, promotes what is due, and ends the executions of dead workers.

    Args:
        lifecycle: the transitions.
        shift: what the worker's threads share.
        senders: the threads that send.
        settler: takes the ends of overdue executions.
        policy: what becomes of these.
        ask: called when this worker shall ask SES for the account's limits.
        tally: counts what is claimed, and feels the dispatcher's pulse.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        shift: Shift,
        senders: Senders,
        settler: Settler,
        policy: RetryPolicy,
        *,
        ask: Callable[[], None] = lambda: None,
        tally: Tally | None = None,
    ) -> None:
        self._lifecycle = lifecycle
        self._shift = shift
        self._leases = shift.leases
        self._senders = senders
        self._settler = settler
        self._policy = policy
        self._wake = shift.wake
        self._ask = ask
        self._tally = tally
        self._watch = GateWatch(lifecycle)
        self._closed_until = 0.0
        self._ready = int(senders.count * SPARE)
        self._most = senders.count + max(1, self._ready)
        self._several = several(senders.count)
        self._promote_at = 0.0
        self._reclaim_at = 0.0
        self._answered = 0.0
        self._outage = Outage(log, "nothing is claimed meanwhile", shift.trouble)
        self._look_again_until = 0.0
        self._backlog_since = math.inf
        self._claimed_at = 0.0
        self._stopping = False
        self.suspended = False
        self.handled = 0

    def stop(self) -> None:
        """Claim no more; a signal handler may call it, so it sets nothing but a flag."""
        self._stopping = True

    def run(self, *, burst: Burst | None = None) -> None:
        """Dispatch until `stop` is called, or in a burst until that is over.

        Raises:
            Denied: Redis refuses this user a command.
            PartDied: a thread of the worker has died.
        """
        self._answered = time.monotonic()
        while not self._stopping:
            self._shift.parts.check()
            if self._tally:
                busy = self._senders.busy
                self._tally.pulse(min(busy, self._senders.count), len(self._leases) - busy)
            try:
                pause = self._step(burst)
            except RedisError as exc:
                raise_if_denied(exc)
                # A claim whose answer was lost may have been carried out, or be carried out later.
                self._look_again_until = time.monotonic() + self._leases.length
                self._outage.failed(exc)
                self._pause(0.25)
                continue
            self._answered = time.monotonic()
            self._outage.answered()
            if pause is None:
                return
            if pause:
                self._pause(pause)

    def _step(self, burst: Burst | None) -> float | None:
        """Do what is due; return the seconds to wait for something to happen (None: the burst is over)."""
        clock = time.monotonic()
        if clock < self._look_again_until:
            self._adopt()
        # Before the reclaim, which judges by the server's clock: this tells the time.
        if clock >= self._promote_at:
            self._promote(clock)
        if clock >= self._reclaim_at:
            self._reclaim()
        wanted = self._wanted(clock)
        if 0 < wanted < self._several and clock < self._claimed_at + GATHER:
            time.sleep(GATHER)
            wanted = self._wanted(clock)
        if wanted <= 0:
            return POLL
        # Looked at after the idle threads: one that has become idle by a bad answer has set it before.
        resting_until = max(self._closed_until, self._shift.brake.held_until)
        if clock < resting_until:
            return self._until(min(self._promote_at, resting_until))
        claims = self._claim(wanted)
        self._claimed_at = time.monotonic()
        if claims:
            full = len(claims) == wanted
            self._backlog_since = min(self._backlog_since, self._claimed_at) if full else math.inf
            return 0.0
        self._backlog_since = math.inf
        if burst and (claims is None or self._drained(burst)):
            return None
        return self._until(min(self._promote_at, self._closed_until or math.inf))

    def _wanted(self, clock: float) -> int:
        """Return how many mails to claim: one for each idle thread, and under a backlog some to hold ready.

        With these no thread waits for a claim, and a claim takes several. Other workers have had their chance
        before, and ours must be about to become free.
        """
        idle, room = self._senders.idle, self._most - len(self._leases)
        begun = self._shift.brake.room(self._senders.busy)
        if begun < math.inf:
            return min(idle, room, int(begun))
        if clock - self._backlog_since < POLL or clock - self._senders.ended_at > SOON:
            return min(idle, room)
        wanted = min(idle + self._ready, room)
        return wanted if idle > 0 or wanted >= self._several else 0

    def _until(self, moment: float) -> float:
        return max(0.0, min(POLL, moment - time.monotonic()))

    def _drained(self, burst: Burst) -> bool:
        """Tell, after a claim that found nothing, whether nothing can follow from what we did."""
        view = self._lifecycle.view
        if self._leases:
            return False
        if view.waiting:
            # These may last for hours, or for ever.
            return view.refusal in ("manual", "quota") or (
                view.refusal in BREAKER_OPEN and burst.is_over(view.wait)
            )
        moved, pause = self._lifecycle.promote()
        return not moved and (pause is None or burst.is_over(pause))

    def _claim(self, wanted: int) -> list[Claim] | None:
        """Claim for `wanted` threads; None while RQ's workers are suspended."""
        self._wake.clear()
        clock = time.monotonic()
        try:
            claims, dropped = self._lifecycle.claim(wanted)
        except Suspended:
            if not self.suspended:
                events.WORKER_SUSPENDED.log(log)
                self.suspended = True
            return None
        if self.suspended:
            events.WORKER_RESUMED.log(log)
            self.suspended = False
        if self._lifecycle.view.refusal not in _UNTOUCHED:
            self._outage.over()
        if dropped:
            events.IDS_DROPPED.log(log, ids=dropped)
        for claim in claims:
            self._take(claim, clock)
        if self._tally and claims:
            self._tally.claimed(claims, self._shift.clock.now())
        self._obey()
        return claims

    def _obey(self) -> None:
        """Heed what the claim saw of the account's gate."""
        view = self._lifecycle.view
        # Where nothing waits, the gate says nothing against a mail that comes next.
        wait = min(view.wait, GATE_LOOK) if view.waiting else 0.0
        self._closed_until = time.monotonic() + wait if wait else 0.0
        if view.ask:
            self._ask()
        self._watch.look(view)

    def _take(self, claim: Claim, since: float) -> None:
        self._leases.add(claim.lease, since)
        self._senders.submit(claim)
        self.handled += 1

    def _adopt(self) -> None:
        """Take on what a claim without an answer has taken in our name."""
        # Known before read: what is settled in between must not look like a stranger.
        known = set(self._leases.held())
        for lease in self._lifecycle.held():
            clock = time.monotonic()
            if lease not in known and self._lifecycle.renew([lease]):
                claim = self._lifecycle.adopt(lease)
                if claim:
                    events.MAIL_ADOPTED.log(log, job_id=lease.job_id)
                    self._take(claim, clock)

    def _promote(self, clock: float) -> None:
        moved, pause = self._lifecycle.promote()
        if moved:
            self._promote_at = clock
        else:
            self._promote_at = clock + (POLL if pause is None else min(POLL, pause))

    def _reclaim(self) -> None:
        # Who couldn't renew its lease while Redis refused must have had the time to do so since.
        left = self._leases.recovery - self._shift.trouble.age
        if left > 0:
            self._reclaim_at = time.monotonic() + left
            return
        overdue = self._lifecycle.reclaim()
        if time.monotonic() - self._answered > self._leases.length / 3:
            self._shift.trouble.note()  # it answered late, or we were paused: so were others, perhaps
            return
        for found in overdue:
            # What this process still holds, it will settle itself; what it has found before, the settler has.
            if found.lease not in self._leases and found.lease not in self._settler:
                self._end_overdue(found)
        self._reclaim_at = time.monotonic() + min(1.0, self._leases.length / 10)

    def _end_overdue(self, found: Overdue) -> None:
        """End an execution whose worker is lost: SES may or may not have accepted the mail."""
        outcome = lost_worker(found.worker)
        ended = datetime.fromtimestamp(self._shift.clock.now(), UTC)
        history = History.from_meta(found.meta, fresh=found.lease.execution.endswith("1"))
        history = history.after(outcome, ended.timestamp())
        task = self._task_of(found)
        ending = settlement(
            found.lease,
            outcome,
            history,
            self._policy.for_mail(task.on_unknown) if task else self._policy,
            ended=ended,
            ended_clock=time.monotonic(),
            expires=task.expires if task else None,
        )
        if ending.action == "retry":
            # The lease has kept it waiting for long enough.
            ending = replace(ending, action="back", fields={})
        events.MAIL_RECLAIMED.log(
            log, job_id=found.lease.job_id, error=outcome.message, lost_worker=one_line(found.worker, 120)
        )
        self._settler.put(replace(ending, overdue=True))

    def _task_of(self, found: Overdue) -> Task | None:
        claim = self._lifecycle.adopt(found.lease)
        try:
            return read_job(claim.data, hooked=claim.hooked) if claim else None
        except JobRefused:
            return None  # the next attempt will say so

    def _pause(self, seconds: float) -> None:
        if not self._stopping:
            self._wake.wait(seconds)
        self._wake.clear()

    def give_back(self) -> None:
        """Return what a claim without an answer has taken: nobody has begun to send it."""
        if time.monotonic() >= self._look_again_until:
            return
        try:
            taken = [unsent(lease) for lease in self._lifecycle.held() if lease not in self._leases]
            if taken:
                self._lifecycle.settle(taken, clock=time.monotonic())
        except RedisError as exc:
            events.CLAIM_LEFT.log(log, error=type(exc).__name__)
