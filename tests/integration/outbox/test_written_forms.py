"""Few jobs and many are written in two ways: the same comes of both."""

from __future__ import annotations

import random

import pytest
from redis import Redis

from rq_ses import Message, Outbox, Submission, contract
from support.mails.keys import KEYS

MOMENTS = {b"created_at", b"enqueued_at", b"started_at"}


def message(chance: random.Random, number: int) -> Message:
    """Return one to one recipient, or to two."""
    to = ["anna@example.com", *chance.choice([[], ["bob@example.com"]])]
    return Message(sender="shop@example.com", to=to, subject=f"Order {number}", text=f"mail {number}")


def submissions(chance: random.Random, count: int) -> list[Submission]:
    """Return mails with and without each of what a job may have."""
    return [
        Submission(
            message(chance, number),
            key=chance.choice([None, f"key{number}"]),
            priority=chance.choice(["high", "normal", "bulk"]),
            delay=chance.choice([None, 0.0, 60.0]),
        )
        for number in range(count)
    ]


def forms(redis: Redis, job_ids: list[str]) -> list[dict[bytes, bytes]]:
    """Return each job's fields; moments only as being there, and a key's mark without its chance."""
    found = []
    for job_id in job_ids:
        fields = redis.hgetall(KEYS.job(job_id))
        mark = fields.get(contract.KEY_FIELD.encode(), b"").partition(b":")[0]
        fields |= dict.fromkeys(MOMENTS & fields.keys(), b"")
        found.append(fields | {contract.KEY_FIELD.encode(): mark})
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_job_of_many_is_what_it_would_be_alone(redis: Redis, seed: int) -> None:
    outbox = Outbox(connection=redis)
    wanted = submissions(random.Random(seed), 40)
    together = [receipt.job_id for receipt in outbox.send_many(wanted)]
    many = forms(redis, together)
    redis.flushall()
    alone = [outbox.send_many([one])[0].job_id for one in wanted]
    assert many == forms(redis, alone)
    assert redis.exists(KEYS.scratch) == 0
