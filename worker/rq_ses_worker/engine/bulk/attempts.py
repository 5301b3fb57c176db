"""One attempt of a bulk job; read it behind engine/attempt.py, whose walk comes here before it would send.

Task         entries of a campaign, and how many of them may be sent now (Claim.granted)
  │  terms       what the campaign's entries have in common: from Redis, and kept
  │  shed        what the job has beyond that goes back to the front of the queue
  │  send        one SendBulkEmail; of a campaign that is rendered here, one SendEmail
Outcomes     one for each entry
  │  settled     entries that fare alike go on together (engine.bulk.fates)
Settlement
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.campaign.bulkjob import BulkJob
from rq_ses.contract import HELD_ENTRIES
from rq_ses_worker.campaign.mailing import Mailing
from rq_ses_worker.campaign.terms import TermsError, TermsUnavailable
from rq_ses_worker.engine.attempt import Attempt, internal_error, judge, settlement, unsent
from rq_ses_worker.engine.bulk.fates import Moment, asked, settled, shed, telling
from rq_ses_worker.engine.bulk.suppressing import outcomes_of
from rq_ses_worker.engine.bulk.told import corrected, lead, told_of
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.bulk.dividing import Dividing
from rq_ses_worker.lifecycle.records import Bulk, Claim, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.logging import events
from rq_ses_worker.ses.outcome import Outcome, Terminal

log = logging.getLogger(__name__)


class Terms(Protocol):
    """Where the terms of campaigns are had from: a TermsCache, or a stand-in of a test."""

    def get(self, campaign: str, terms: str) -> Mailing: ...


class BulkAttempts:
    """Makes attempts of bulk jobs; threads may share it.

    Args:
        client: sends; called by many threads at once.
        shared: its brake is told how SES answered, and its clock tells the time.
        terms: of campaigns.
        dividing: for jobs that have more entries than may be sent together.
        size: entries of a request at most.
        connection: where events of entries in doubt are looked for.
    """

    def __init__(
        self, client: Any, shared: Shared, terms: Terms, dividing: Dividing, size: int, connection: Redis
    ) -> None:
        self._client = client
        self._shared = shared
        self._terms = terms
        self._dividing = dividing
        self._size = size
        self._redis = connection
        # Together they take one more connection than a worker has otherwise, and not one each.
        self._one_divides = threading.Lock()

    def finish(self, claim: Claim) -> Settlement:
        """Make the parts that a split of the job has left unmade, and give the job back as it was."""
        try:
            with self._one_divides:
                self._dividing.finish(claim.lease)
        except RedisError as exc:
            return _unprepared(claim, exc)
        return unsent(claim.lease, probe=claim.probe)

    def make(self, claim: Claim, task: Task, job: BulkJob, attempt: Attempt, began: float) -> Settlement:
        """Make one attempt, or give the job back as it was."""
        try:
            mailing = self._terms.get(job.campaign, job.terms)
            kept = self._fit(claim, job, task.options, size_of(mailing, attempt.policy, self._size))
        except (TermsUnavailable, RedisError) as exc:
            return _unprepared(claim, exc)
        except TermsError as exc:
            outcome = Terminal(code=type(exc).__name__, message=str(exc))
            ending = attempt.ended(outcome, self._shared.clock.now(), asked=False)
            bulk = Bulk(job.campaign, len(job.entries))
            return settlement(claim.lease, attempt, ending, judge(attempt, ending), bulk)
        if not kept:
            return unsent(claim.lease, probe=claim.probe)
        if kept < len(job.entries):
            job = job.part(job.entries[:kept])
        try:
            outcomes = self._send(claim, mailing, job, in_doubt=attempt.history.ambiguous > 0)
        except RedisError as exc:
            return _unprepared(claim, exc)
        clock = time.monotonic()
        moment = Moment(self._shared.clock.now(), clock, clock - began)
        ended = settled(claim, task, job, attempt, outcomes, moment)
        lead(self._redis, claim.lease.job_id, job, ended)
        return ended

    def _fit(self, claim: Claim, job: BulkJob, options: Mapping[str, Any], size: int) -> int:
        """Return how many entries the job has for now, at most `size`; 0 if it is another's by now."""
        most = min(claim.granted or 1, size)
        if len(job.entries) > most:
            with self._one_divides:
                if not self._dividing.shed(claim.lease, shed(job, options, most, size)):
                    return 0
        return min(len(job.entries), most)

    def _send(self, claim: Claim, mailing: Mailing, job: BulkJob, *, in_doubt: bool) -> list[Outcome]:
        """Return an outcome for each entry. Raises RedisError before any is sent."""
        known: dict[str, Outcome] = {}
        if in_doubt:
            with self._one_divides:
                known = told_of(self._redis, claim.lease.job_id, job.entries)
        outcomes = outcomes_of(
            job, claim.suppressed, lambda entries: self._answer(claim, mailing, entries), known
        )
        if not any(outcome.ambiguous for outcome in outcomes):
            return outcomes
        with self._one_divides:
            return corrected(self._redis, claim.lease.job_id, job.entries, outcomes)

    def _answer(self, claim: Claim, mailing: Mailing, entries: Sequence[Any]) -> list[Outcome]:
        try:
            answer = mailing.send(self._client, entries)
        except Exception as exc:  # noqa: BLE001 - the attempt counts, and its history stays
            events.MAIL_RAISED.log(log, trace=True, job_id=claim.lease.job_id, step="sending")
            answer = internal_error(exc)
        outcomes = answer if isinstance(answer, list) else [answer] * len(entries)
        if answers := asked(outcomes):
            self._shared.brake.ended(telling(answers), probe=claim.probe)
        return outcomes


def _unprepared(claim: Claim, exc: Exception) -> Settlement:
    events.MAIL_UNPREPARED.log(log, job_id=claim.lease.job_id, error=str(exc) or type(exc).__name__)
    return unsent(claim.lease, probe=claim.probe)


def size_of(mailing: Mailing, policy: RetryPolicy, size: int) -> int:
    """Return how many entries are sent together at most: those in doubt are held, so fewer with `hold`."""
    if mailing.is_local:
        return 1
    return min(size, HELD_ENTRIES) if policy.on_unknown == "hold" else size
