"""What stands in the failed registry and isn't ours, or is spoilt."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from rq_ses import contract
from rq_ses.deadletter import DeadLetters, Resent
from rq_ses.deadletter.reading import reader as reading
from support.mails.deadletters import (
    FAILED,
    QUEUE,
    fail,
    fail_queued,
    mails,
    queued,
)
from support.mails.mail import mail


def hostile(redis: Redis, job_id: str, **fields: Any) -> None:
    fields = {"status": "failed", "origin": "mail", "ended_at": "2026-05-31T09:00:00.000000Z", **fields}
    redis.hset(f"rq:job:{job_id}", mapping=fields)
    redis.zadd(FAILED, {job_id: 2e9})


def test_foreign_and_spoilt_jobs_are_passed_over_and_never_moved(redis: Redis, letters: DeadLetters) -> None:
    ours = fail(redis, mails(3))
    report = json.dumps(
        {"last_outcome": {"outcome": "terminal", "code": "X", "message": "", "ambiguous": False}}
    )
    queue = Queue("mail", connection=redis, serializer=contract.SERIALIZER)
    foreign = queue.enqueue("os.system", "true", job_id="foreign", description="x")
    redis.lrem(QUEUE, 0, foreign.id)
    hostile(redis, "foreign", meta=report)
    hostile(redis, "garbage", data=b"x\x9c" + os.urandom(100), meta=report, exc_info=b"\xff")
    hostile(redis, "nothing")
    hostile(redis, "refused", data=b'["os.system", null, ["true"], {}]', exc_info="JobRefused: no")
    redis.set("rq:job:text", "not a hash")
    redis.zadd(FAILED, {"text": 2e9, "gone": 2e9, b"\xff\xfe": 2e9})
    hostile(redis, "sent", status="finished")
    groups = letters.groups()
    # One with a mail's report counts as a mail here; before it is moved its data is looked at.
    assert {group.code: group.count for group in groups} == {"MessageRejected": 3, "X": 1}
    assert (groups.gone, groups.foreign) == (5, 2)
    assert {letter.job_id for letter in letters.find(messages=True)} == set(ours)
    assert letters.resend(include_unknown=True) == Resent(resent=3, gone=5, foreign=3)
    assert set(queued(redis)) == set(ours)


def test_a_mail_of_ours_that_can_t_be_read_is_resent_but_not_edited(
    redis: Redis, letters: DeadLetters
) -> None:
    hostile(redis, "broken", data=f'["{contract.JOB_FUNCTION}", null, ["x"], {{}}]'.encode())
    assert letters.get("broken").payload is None
    edits = {"sender": "new@example.com"}
    assert letters.resend(include_unknown=True, edits=edits) == Resent(invalid=1)
    assert letters.export(io.StringIO()).unreadable == 1
    assert letters.resend(include_unknown=True) == Resent(resent=1)


def test_large_mails_are_read_one_after_another(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "DATA_BYTES", 1000)
    monkeypatch.setattr(reading, "PAGE_BYTES", 1000)
    fail(redis, [mail(text=os.urandom(2000).hex()) for _ in range(5)])
    assert letters.groups().count == 5
    assert letters.resend().resent == 5
    fail_queued(redis)
    monkeypatch.setattr(reading, "DATA_LIMIT", 1000)
    assert letters.resend() == Resent(foreign=5)
