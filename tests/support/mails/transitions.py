"""A queue of hand-made jobs, two workers' lifecycles, and RQ's view of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from rq_ses import contract
from rq_ses_worker.lifecycle.records import (
    Claim,
    Lease,
    Settlement,
    Word,
    failed_fields,
    sent_fields,
)
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS

GATE = KEYS.account("default", "unknown").encode()
PAYLOAD = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi", "text": "x"}


class Story:
    """A queue, two workers' lifecycles, and RQ's view of them."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.queue = Queue("mail", connection=redis, serializer=JSONSerializer)
        self.ours = Lifecycle(redis, ["mail"], "ours", "aaaaaaaa", 30.0)
        self.other = Lifecycle(redis, ["mail"], "other", "bbbbbbbb", 30.0)

    def enqueue(self, job_id: str = "j1", **options: Any) -> Job:
        return self.queue.enqueue(contract.JOB_FUNCTION, PAYLOAD, job_id=job_id, **options)

    def job(self, job_id: str = "j1") -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def claim(self, lifecycle: Lifecycle | None = None) -> Claim:
        claims, _ = (lifecycle or self.ours).claim(1)
        return claims[0]

    def places(self, job_id: str = "j1") -> list[str]:
        """Where the job stands, without RQ's clean-ups."""
        places = [name for name in ("scheduled", "finished", "failed", "canceled") if self._in(name, job_id)]
        wip = self.redis.zrange(KEYS.registry("wip", "mail"), 0, -1)
        places += ["wip" for member in wip if member.decode().startswith(f"{job_id}:")]
        return places + ["queue"] * self.redis.lrange(KEYS.queue("mail"), 0, -1).count(job_id.encode())

    def _in(self, registry: str, job_id: str) -> bool:
        return self.redis.zscore(KEYS.registry(registry, "mail"), job_id) is not None

    def settle(self, settlements: Sequence[Settlement], lifecycle: Lifecycle | None = None) -> list[Word]:
        return (lifecycle or self.ours).settle(settlements, clock=time.monotonic())


def sent(lease: Lease, message_id: str = "m-1") -> Settlement:
    return Settlement(
        lease, "sent", datetime.now(UTC), {"attempts": 1}, sent_fields({"message_id": message_id})
    )


def failed(lease: Lease, line: str = "MessageRejected: no (HTTP 400)", **options: Any) -> Settlement:
    return Settlement(lease, "failed", datetime.now(UTC), {"attempts": 1}, failed_fields(line), **options)


def retry(lease: Lease, delay: float, **options: Any) -> Settlement:
    return Settlement(
        lease, "retry", datetime.now(UTC), {"attempts": 1}, {"delay": delay}, time.monotonic(), **options
    )


def back(lease: Lease, **options: Any) -> Settlement:
    return Settlement(lease, "back", datetime.now(UTC), {"attempts": 1}, {}, **options)
