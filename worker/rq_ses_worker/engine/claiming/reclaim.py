"""Ends the executions whose lease ran out: their worker died, or was away for too long."""

from __future__ import annotations

import logging
import time

from rq_ses.text.plaintext import one_line
from rq_ses_worker.engine.attempt import Attempt, Back, bulk_of, judge, read, settlement
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.records import Overdue
from rq_ses_worker.lifecycle.retry import Again, History, RetryPolicy, lost_before_sending, lost_worker
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)


class Reclaim:
    """Looks for overdue executions, and hands their ends to the settler.

    Args:
        lifecycle: the transitions.
        shared: after trouble with Redis nothing is reclaimed before others could renew their leases.
        settler: takes the ends.
        policy: what becomes of the mails.
    """

    def __init__(self, lifecycle: Lifecycle, shared: Shared, settler: Settler, policy: RetryPolicy) -> None:
        self._lifecycle = lifecycle
        self._shared = shared
        self._leases = shared.leases
        self._settler = settler
        self._policy = policy
        self.due_at = 0.0
        """Moment (time.monotonic()) of the next look."""

    def run(self, answered: float) -> None:
        """Look once; Redis last answered this worker at `answered` (time.monotonic()). Raises RedisError."""
        # Who couldn't renew its lease while Redis refused must have had the time to do so since.
        left = self._leases.recovery - self._shared.trouble.age
        if left > 0:
            self.due_at = time.monotonic() + left
            return
        overdue = self._lifecycle.reclaim()
        if time.monotonic() - answered > self._leases.length / 3:
            self._shared.trouble.note()  # it answered late, or we were paused: so were others, perhaps
            return
        for found in overdue:
            # What this process still holds, it will settle itself; what it has found before, the settler has.
            if found.lease not in self._leases and found.lease not in self._settler:
                self._end(found)
        self.due_at = time.monotonic() + min(1.0, self._leases.length / 10)

    def _end(self, found: Overdue) -> None:
        """End an execution whose worker is lost: SES may or may not have accepted the mail."""
        now = self._shared.clock.now()
        history = History.from_meta(found.meta, fresh=found.lease.fresh)
        claim = self._lifecycle.adopt(found.lease)
        if claim and claim.unfinished:
            self._lifecycle.dividing.finish(found.lease)
        task = read(claim) if claim else None
        unasked = self._unasked(found, task)
        outcome = (lost_before_sending if unasked else lost_worker)(found.worker)
        attempt = Attempt(history, self._policy)
        if isinstance(task, Task):  # why it can't be read the next attempt will say
            attempt = Attempt(history, self._policy.for_mail(task.on_unknown), task.expires)
        ending = attempt.lost(outcome, now, time.monotonic())
        decision = judge(attempt, ending)
        if isinstance(decision, Again):
            decision = Back()  # the lease has kept it waiting for long enough
        events.MAIL_RECLAIMED.log(
            log, job_id=found.lease.job_id, error=outcome.message, lost_worker=one_line(found.worker, 120)
        )
        ended = settlement(found.lease, attempt, ending, decision)
        if unasked and ended.action == "back":
            ended = ended._replace(fields={"entries": unasked})
        self._settler.put(
            ended._replace(overdue=True, bulk=bulk_of(task) if isinstance(task, Task) else None)
        )

    def _unasked(self, found: Overdue, task: object) -> int:
        """Return how many entries a bulk job has of which none can have been sent; 0 of any other.

        It has more than go in one request, and a worker sheds those before it sends any.
        """
        if not isinstance(task, Task) or not task.bulk:
            return 0
        entries = len(task.bulk.entries)
        # Where its hash says another number, settle.lua wouldn't take it as one of which nothing was shed.
        told = found.recipients == str(entries).encode()
        return entries if told and entries > self._lifecycle.dividing.most(task) else 0
