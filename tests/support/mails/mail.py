"""Messages for tests."""

from __future__ import annotations

from typing import Any, Final

from redis import Redis
from rq.job import Job

from rq_ses import Message, RawMessage, contract
from support.mails.keys import KEYS

ODD: Final = (
    b"From: =?utf-8?q?J=C3=B6rg?= <j@shop.example>\r\nTo: hidden@list.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"X-Odd: caf\xe9\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nna\xefve \xff\xfe\n\rbare\rends\n"
)
"""Bytes that are no UTF-8 and ends of lines of every kind."""


def mail(to: str = "anna@example.com", **fields: Any) -> Message:
    return Message(
        **{"sender": "Shop <shop@example.com>", "to": [to], "subject": "Hi", "text": "Hello", **fields}
    )


def raw_mail(to: str = "anna@example.com", **fields: Any) -> RawMessage:
    return RawMessage(**{"data": ODD, "to": to, **fields})


def fetch(redis: Redis, job_id: str) -> Job:
    """Read a job as RQ does."""
    return Job.fetch(job_id, connection=redis, serializer=contract.SERIALIZER)


def status(redis: Redis, job_id: str) -> str:
    return (redis.hget(KEYS.job(job_id), "status") or b"gone").decode()
