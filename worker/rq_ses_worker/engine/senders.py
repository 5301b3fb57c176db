"""The threads that send: each takes a claimed job, makes one attempt, and hands on how it ended."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from rq_ses_worker.engine.attempt import Attempts, Bulks, Client, unsent
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.records import Claim, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)


class Senders:
    """A fixed number of threads, each making one attempt at a time.

    Args:
        count: threads.
        client: shared by all of them.
        policy: what becomes of a mail that wasn't sent.
        shared: for the attempts; woken whenever a thread has become idle, and nothing is ready.
        settle: takes each attempt's settlement.
        bulk: what makes the attempts of bulk jobs, when there is the first.
    """

    def __init__(
        self,
        count: int,
        client: Client,
        policy: RetryPolicy,
        shared: Shared,
        *,
        settle: Callable[[Settlement], None],
        bulk: Callable[[], Bulks] | None = None,
    ) -> None:
        self.count = count
        self._shared = shared
        self._settle = settle
        # A mail goes ahead of the bulk jobs that are held ready: it never waits for more than one request.
        self._mails: deque[Claim] = deque()
        self._jobs: deque[Claim] = deque()
        self._ready: SimpleQueue[bool] = SimpleQueue()
        self._underway = Underway(count)
        self._attempts = Attempts(client, policy, shared, self._underway, bulk)
        self._threads = [shared.threads.thread(f"sender-{n}", self._work) for n in range(count)]

    @property
    def busy(self) -> int:
        """Number of claims whose attempt hasn't ended."""
        return self._underway.busy

    @property
    def idle(self) -> int:
        """Number of threads that have nothing to send; negative if more was submitted than there are."""
        return self._underway.idle

    @property
    def ended_at(self) -> float:
        """Moment (time.monotonic()) at which a thread became free last."""
        return self._underway.ended_at

    @property
    def running(self) -> bool:
        """Whether all of its threads live."""
        return all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claim: Claim) -> None:
        """Hand a claim to an idle thread, or to the next that becomes idle. One thread alone submits."""
        self._underway.submitted()
        (self._jobs if claim.granted else self._mails).append(claim)
        self._ready.put(True)

    def stop(self) -> None:
        """Let every thread end after what it is sending; what none has begun goes back to its queue."""
        ready = []
        with suppress(Empty):
            while self._ready.get_nowait():
                ready.append(self._next())
        # Each goes to the front of its queue.
        for claim in reversed(ready):
            self._end(unsent(claim.lease, probe=claim.probe))
        for _ in self._threads:
            self._ready.put(False)

    def join(self) -> None:
        """Wait until every thread has ended: each ends within the client's time-out."""
        for thread in self._threads:
            thread.join()

    def _next(self) -> Claim:
        """Return what is the next to be sent; something is."""
        try:
            return self._mails.popleft()
        except IndexError:
            return self._jobs.popleft()

    def _work(self) -> None:
        while self._ready.get():
            claim = self._next()
            try:
                settlement = self._attempts.make(claim)
            except Exception as exc:  # noqa: BLE001 - a defect must neither lose the mail nor stop the thread
                events.MAIL_RAISED.log(log, trace=True, job_id=claim.lease.job_id, step="its attempt")
                settlement = self._attempts.break_off(claim, exc)
            self._end(settlement)
            # Setting it takes a lock; where it is set, the dispatcher has yet to count who is idle.
            if self._underway.idle > 0 and not self._shared.wake.is_set():
                self._shared.wake.set()

    def _end(self, settlement: Settlement) -> None:
        self._underway.ended()
        self._settle(settlement)
