"""kill -9 of workers in the middle of a campaign: each entry is sent once, or named in doubt."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from redis import Redis

from rq_ses.keys import keys_of
from rq_ses_worker.simulator.server import SimulatorServer
from support.bulk.desk import QUEUE, campaign, counts, enqueue, entries_of, places, store
from support.mails.mail import fetch
from support.programs.fleet import LEASE, Fleet
from support.waiting import wait_for

STORIES = ("slow-0.02", "503", "429", "slow-0.02", "reject", "slow-0.02")
"""Of six entries that follow each other; nobody is slow but for the first of a request."""


def left(redis: Redis) -> int:
    keys = keys_of(redis)
    waiting = redis.llen(keys.queue(QUEUE)) + redis.zcard(keys.leases(QUEUE))
    return waiting + redis.zcard(keys.registry("scheduled", QUEUE))


def doubted(redis: Redis) -> set[str]:
    """Return who stands in a job that fails or has ended in doubt."""
    found, keys = set(), keys_of(redis)
    for key in redis.scan_iter(f"{keys.job_prefix}*"):
        job: Any = redis.hgetall(key)
        if b'"ambiguous": 0' not in job[b"meta"] and b'"ambiguous"' in job[b"meta"]:
            found |= set(entries_of(redis, key.decode().removeprefix(keys.job_prefix), job))
    return found


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
def test_each_entry_is_sent_once_or_named_in_doubt(
    on_unknown: str, redis: Redis, ses: SimulatorServer, workers: Fleet, chance: random.Random
) -> None:
    store(redis, campaign())
    to = [f"{STORIES[n % len(STORIES)]}.n{n}@faults.example" for n in range(1200)]
    for number in range(24):
        enqueue(redis, campaign(), to[50 * number : 50 * number + 50], number=number)
    options = ("--on-unknown", on_unknown, "--rate-limited-delay", "0.5", "--max-send-rate", "5000")
    points = chance.sample(["after-claim", "after-answer", "before-settle", "during-settle"], 2)
    for name, point in zip(("first", "second"), points, strict=True):
        workers.started(name, *options, dies=(point, chance.randint(2, 5)))
    for name in ("first", "second"):
        workers.died(name)
    workers.started("survivor", *options)
    wait_for(lambda: not left(redis), within=30 + LEASE, what="all entries end")
    sent = Counter(one for mail in ses.mails for one in mail.recipients)
    doubt, stand = doubted(redis), places(redis)
    assert set(stand) == set(to)
    assert {one: where for one, where in stand.items() if len(where) > 1} == {}
    assert {one for one, times in sent.items() if times > 1} <= doubt
    assert on_unknown == "resend" or set(sent.values()) == {1}
    for one in set(to) - doubt:
        rejected = one.startswith("reject")
        assert (stand[one], sent[one]) == (["failed"], 0) if rejected else (["finished"], 1), one
    finished = sum(where == ["finished"] for where in stand.values())
    assert counts(redis) == (1200, finished, 0)
    assert fetch(redis, next(redis.scan_iter("rq:job:*")).decode().removeprefix("rq:job:")).origin == QUEUE
