"""A bulk job under a stock `rq worker`: the same steps, with RQ's transitions around them.

RQ writes how the job itself ends. Parts are written here, in one transaction with what stays in the job; a
worker that dies between the request and that leaves all entries in doubt, as it would a mail.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from redis import Redis

from rq_ses import contract, states
from rq_ses.campaign.bulkjob import BulkJob
from rq_ses.keys import keys_of
from rq_ses.rqdate import utcformat
from rq_ses_worker.campaign.mailing import Mailing
from rq_ses_worker.campaign.terms import TermsCache
from rq_ses_worker.engine.bulk.attempts import size_of
from rq_ses_worker.engine.bulk.fates import shed
from rq_ses_worker.lifecycle.records import Division, Part
from rq_ses_worker.lifecycle.retry import RetryPolicy

_STATUSES: Final = {
    "front": states.QUEUED,
    "retry": states.SCHEDULED,
    "failed": states.FAILED,
    "sent": states.FINISHED,
}
_COPIED: Final = ("created_at", "enqueued_at", "timeout", "result_ttl", "failure_ttl", "started_at")


@dataclass(frozen=True, slots=True)
class StockJob:
    """A bulk job that RQ has started."""

    connection: Redis
    job_id: str
    queue: str

    def mailing(self, job: BulkJob) -> Mailing:
        """Return what sends its campaign's entries. Raises TermsError."""
        return TermsCache(self.connection, Mailing.read).get(job.campaign, job.terms)

    def state(self, job: BulkJob) -> str:
        """Return what its campaign is: sending, paused or canceled."""
        record: Any = self.connection.hget(keys_of(self.connection).campaign(job.campaign), "state")
        return record.decode() if record else "sending"

    def shed(self, job: BulkJob, options: dict[str, Any], size: int) -> Division | None:
        """Put what is beyond `size` entries to the front of the queue; None: nothing is."""
        if len(job.entries) <= size:
            return None
        division = shed(job, options, size, size)
        self.divide(division)
        return division

    def divide(self, division: Division) -> None:
        """Write what stays in the job, and the parts, in one transaction."""
        keys, connection = keys_of(self.connection), cast(Any, self.connection)
        told = connection.hmget(keys.job(self.job_id), _COPIED)
        common = {name: value for name, value in zip(_COPIED, told, strict=True) if value is not None}
        with connection.pipeline(transaction=True) as pipeline:
            stays = {"data": division.data, contract.RECIPIENTS_FIELD: division.entries}
            pipeline.hset(keys.job(self.job_id), mapping=stays)
            for part in reversed(division.parts):
                fields = {**common, contract.CAMPAIGN_FIELD: division.campaign}
                self._write(pipeline, part, fields)
            pipeline.execute()

    def _write(self, pipeline: Any, part: Part, fields: dict[str, Any]) -> None:
        keys, now, status = keys_of(self.connection), time.time(), _STATUSES[part.action]
        job = keys.job(part.job_id)
        fields |= {"status": status, "origin": self.queue, "description": part.description}
        fields |= {"data": part.data, contract.RECIPIENTS_FIELD: part.entries}
        if part.action == "front":
            pipeline.hset(job, mapping={**fields, "started_at": ""})
            pipeline.lpush(keys.queue(self.queue), part.job_id)
            return
        meta = {**part.meta, "final": True} if part.action == "failed" else part.meta
        fields |= {"ended_at": utcformat(datetime.now(UTC)), "meta": json.dumps(meta)}
        if part.action == "retry":
            pipeline.hset(job, mapping=fields)
            pipeline.zadd(keys.registry(status, self.queue), {part.job_id: now + part.fields["delay"]})
            return
        kind, name, value, ttl = "1", "return_value", part.fields.get("result"), contract.RESULT_TTL
        if part.action == "failed":
            kind, name, value, ttl = "2", "exc_string", part.fields["exc_string"], contract.FAILURE_TTL
            fields["exc_info"] = part.fields["exc"]
        pipeline.hset(job, mapping=fields)
        pipeline.expire(job, ttl + contract.FAILED_GRACE * (part.action == "failed"))
        pipeline.zadd(keys.registry(status, self.queue), {part.job_id: now + ttl})
        pipeline.xadd(keys.results(part.job_id), {"worker_name": "", "type": kind, name: value})
        pipeline.expire(keys.results(part.job_id), ttl)

    def count(self, campaign: str, sent: int = 0, canceled: int = 0) -> None:
        """Count entries in the campaign's record, if it is there."""
        record = keys_of(self.connection).campaign(campaign)
        for name, number in (("sent", sent), ("canceled", canceled)):
            if number and self.connection.hexists(record, "state"):
                self.connection.hincrby(record, name, number)
                self.connection.hset(record, "changed_at", int(time.time()))


def fitting(mailing: Mailing, policy: RetryPolicy) -> int:
    """Return how many entries go in one request: there is no gate to ask."""
    return size_of(mailing, policy, contract.BULK_ENTRIES)
