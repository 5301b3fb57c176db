"""The dispatcher: claims mails for idle threads, and does what is due in between.

It runs in one thread. What it waits for (a thread that is free, a settled batch, a wake-up through Redis, the
end) comes through one event.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from rq_ses import contract
from rq_ses.keys import Keys
from rq_ses.partition import MOVING, resuming
from rq_ses_worker.account.gate import BREAKER_OPEN
from rq_ses_worker.engine.claiming.demand import GATHER, Demand
from rq_ses_worker.engine.claiming.gatewatch import GateWatch
from rq_ses_worker.engine.claiming.lostreplies import LostReplies
from rq_ses_worker.engine.claiming.reclaim import Reclaim
from rq_ses_worker.engine.claiming.suppressing import marked
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.outage import Outage
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.records import Claim, Suspended, Word
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import raise_if_denied
from rq_ses_worker.server.errand import Along

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger(__name__)

POLL: Final = 0.1
"""Seconds after which an idle worker looks again, if nothing wakes it before."""

GATE_LOOK: Final = 1.0
"""Seconds after which a closed gate is looked at again, however long it says: a hand may open it."""

_UNTOUCHED: Final = BREAKER_OPEN - {"probe"} | {"asking"}
"""Why a claim didn't even try to take a mail: whether Redis takes writes is unknown then."""


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
        shared: what the worker's threads share.
        senders: the threads that send.
        settler: takes the ends of overdue executions; what waits there goes along with claims.
        policy: what becomes of the mails of overdue executions, and of those to suppressed addresses.
        ask: called when this worker shall ask SES for the account's limits.
        tally: counts what is claimed, and is told each round of the loop.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        shared: Shared,
        senders: Senders,
        settler: Settler,
        policy: RetryPolicy,
        *,
        ask: Callable[[], None] = lambda: None,
        tally: Tally | None = None,
    ) -> None:
        self._lifecycle = lifecycle
        self._shared = shared
        self._leases = shared.leases
        self._senders = senders
        self._settler = settler
        self._ask = ask
        self._policy = policy
        self._tally = tally
        self._demand = Demand(senders, shared.leases, shared.brake)
        self._lost_replies = LostReplies(lifecycle, shared.leases)
        self._reclaim = Reclaim(lifecycle, shared, settler, policy)
        self._gate = GateWatch(lifecycle)
        self._outage = Outage(log, "nothing is claimed meanwhile", shared.trouble)
        self._closed_until = 0.0
        self._promote_at = 0.0
        self._promoting = False
        self._answered = 0.0
        self._stopping = False
        self.handled = 0
        """Mails claimed, or adopted."""

    def stop(self) -> None:
        """Claim no more; a signal handler may call it, so it sets nothing but a flag."""
        self._stopping = True

    def run(self, *, burst: Burst | None = None) -> None:
        """Dispatch until `stop` is called, or in a burst until that is over.

        Raises:
            Denied: Redis refuses this user a command.
            ThreadDied: a thread of the worker has died.
        """
        self._answered = time.monotonic()
        while not self._stopping:
            self._shared.threads.check()
            if self._tally:
                busy = self._senders.busy
                self._tally.pulse(min(busy, self._senders.count), len(self._leases) - busy)
            try:
                pause = self._step(burst)
            except RedisError as exc:
                raise_if_denied(exc)
                self._lost_replies.note()
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
        if self._lost_replies.expected(clock):
            for claim, since in self._lost_replies.adopt():
                self._take([claim], since)
        if clock >= self._reclaim.due_at:
            self._promote_due(clock)  # it tells the server's time, by which the reclaim judges
            self._reclaim.run(self._answered)
        wanted = self._demand.wanted(clock, len(self._settler.along))
        if self._demand.is_early(wanted, clock):
            time.sleep(GATHER)
            wanted = self._demand.wanted(clock, len(self._settler.along))
        # Looked at after the idle threads: one that has become idle by a bad answer has set it before.
        resting_until = max(self._closed_until, self._shared.brake.held_until)
        if wanted <= 0 or clock < resting_until:
            self._promote_due(clock)
            return self._until(self._promote_at if wanted <= 0 else min(self._promote_at, resting_until))
        with self._settler.along.taken() as settled:
            wanted = min(wanted, self._demand.room(self._settler.along.going))
            if wanted <= 0:
                return self._until(self._promote_at)  # the settler's thread, which has these, wakes this one
            claims = self._claim(wanted, settled)
        self._demand.claimed(wanted, len(claims or ()), time.monotonic())
        if claims and not self._took_all(claims, wanted):
            return 0.0
        if burst and not claims and (claims is None or self._drained(burst)):
            return None
        return self._until(min(self._promote_at, self._closed_until or math.inf))

    def _took_all(self, claims: list[Claim], wanted: int) -> bool:
        """Tell whether a claim has surely left nothing in the queues that it might have taken."""
        found_less = len(claims) < wanted and not self._lifecycle.view.refusal
        return found_less and sum(len(claim.data) for claim in claims) < contract.CLAIM_BYTES

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

    def _claim(self, wanted: int, settled: list[Along[list[Word]]]) -> list[Claim] | None:
        """Claim for `wanted` threads, with outcomes that go along; None while RQ's workers are suspended."""
        self._shared.wake.clear()
        clock = time.monotonic()
        try:
            claims, dropped = self._lifecycle.claim(wanted, [*settled, *self._promotion(clock)])
        except Suspended as exc:
            if not self._shared.suspended:
                by = f" by `{MOVING}`" if exc.moving else ""
                remedy = resuming([Keys.default().prefix], moving=exc.moving)
                events.WORKER_SUSPENDED.log(log, by=by, remedy=remedy)
                self._shared.suspended = True
            return None
        self._shared.brake.told(self._lifecycle.view.failures)
        if self._shared.suspended:
            events.WORKER_RESUMED.log(log)
            self._shared.suspended = False
        if self._lifecycle.view.refusal not in _UNTOUCHED:
            self._outage.over()
        if dropped:
            events.IDS_DROPPED.log(log, ids=dropped)
        self._take(claims, clock)
        if self._tally and claims:
            self._tally.claimed(claims, self._shared.clock.now())
        self._follow_gate()
        return claims

    def _follow_gate(self) -> None:
        """Wait as the account's gate told the claim to, and ask SES for its limits if this worker shall."""
        view = self._lifecycle.view
        # Where nothing waits, the gate says nothing against a mail that comes next.
        wait = min(view.wait, GATE_LOOK) if view.waiting else 0.0
        self._closed_until = time.monotonic() + wait if wait else 0.0
        if view.ask:
            self._ask()
        self._gate.look(view)

    def _take(self, claims: list[Claim], since: float) -> None:
        # Where the list can't be asked, what was claimed is found again, as if its reply had been lost.
        if claims and self._policy.suppressed != "off" and self._lifecycle.listed:
            claims = marked(claims, self._lifecycle.suppression)
        for claim in claims:
            self._leases.add(claim.lease, since)
            self._senders.submit(claim)
            self.handled += 1

    def _promotion(self, clock: float) -> list[Along[tuple[int, float | None]]]:
        """Have promoted what is due with a claim, a little early rather than by a call of its own."""
        if clock < self._promote_at - POLL / 4 or self._promoting:
            return []
        self._promoting = True  # unless it is told how it went, the next is by itself
        return [Along(self._lifecycle.promotion(), self._promoted)]

    def _promote_due(self, clock: float) -> None:
        if clock >= self._promote_at:
            self._promoted(self._lifecycle.promote())

    def _promoted(self, told: tuple[int, float | None]) -> None:
        moved, pause = told
        self._promoting = False
        self._promote_at = time.monotonic()
        if not moved:
            self._promote_at += POLL if pause is None else min(POLL, pause)

    def _pause(self, seconds: float) -> None:
        if not self._stopping:
            self._shared.wake.wait(seconds)
        self._shared.wake.clear()

    def give_back(self) -> None:
        """Return what a claim without an answer has taken: nobody has begun to send it."""
        self._lost_replies.give_back()
