"""Messages for tests."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq.job import Job

from rq_ses import Message, contract
from support.mails.keys import KEYS


def mail(to: str = "anna@example.com", **fields: Any) -> Message:
    return Message(
        **{"sender": "Shop <shop@example.com>", "to": [to], "subject": "Hi", "text": "Hello", **fields}
    )


def fetch(redis: Redis, job_id: str) -> Job:
    """Read a job as RQ does."""
    return Job.fetch(job_id, connection=redis, serializer=contract.SERIALIZER)


def status(redis: Redis, job_id: str) -> str:
    return (redis.hget(KEYS.job(job_id), "status") or b"gone").decode()
