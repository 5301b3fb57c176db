"""split.lua, broken off at each of its calls: each entry is somewhere, and sent once or named in doubt."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Outbox, OutboxUnavailable
from rq_ses.campaign import Campaigns, Entry
from rq_ses.campaign.names import bulk_job_id
from rq_ses.keys import keys_of
from rq_ses.mails import Mails
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    Desk,
    addresses,
    campaign,
    counts,
    enqueue,
    entries_of,
    lose,
    make_due,
    places,
    store,
    success,
)
from support.mails.breaking import Breakable, BreakableSource, each_break
from support.mails.keys import KEYS

TO = addresses(6)
DEAD = TO[3]
FIRST: dict[str, dict[str, Any]] = {
    TO[1]: {"Status": "ACCOUNT_THROTTLED"},
    TO[2]: {"Status": "TRANSIENT_FAILURE"},
    DEAD: {"Status": "MESSAGE_REJECTED", "Error": "No."},
    TO[4]: {"Status": "ACCOUNT_THROTTLED"},
}


class Scene:
    """A bulk job, its worker, whose split.lua breaks off, and another one, to which SES says yes but once."""

    def __init__(self, redis: Redis, policy: RetryPolicy | None = None) -> None:
        store(redis, campaign())
        enqueue(redis, campaign(), TO)
        self.redis = redis
        self.client = BulkClient(lambda to: FIRST.get(to) or success(to))
        self.ours = Desk(redis, self.client, policy)
        self.other = Desk(redis, self.client, name="theirs")
        self.script = Breakable(redis, self.ours.lifecycle.dividing._script)
        self.ours.lifecycle.dividing._script = self.script

    def settle(self, ended: Settlement) -> bytes:
        """Settle without a word to the gate, whose scripts would be run with this one in another way."""
        assert ended.bulk
        assert ended.bulk.division
        call = self.ours.lifecycle.dividing.settlement(ended, ended.bulk.division, time.monotonic())
        reply: bytes = call.run()
        return reply

    def put_right(self) -> None:
        """Do what runs anyway, until nothing waits."""
        self.client.answers = lambda to: FIRST[to] if to == DEAD else success(to)
        for _ in range(3):
            lose(self.redis, self.other)
            make_due(self.redis)
            self.other.work()
        Sweep(self.redis, QUEUE).run()
        list(Audit(self.redis, QUEUE, RetryPolicy(), wait=0).run(repair=True))
        make_due(self.redis)
        self.other.work()
        assert list(Audit(self.redis, QUEUE, RetryPolicy(), wait=0).run()) == []

    def check(self, *, dies: bool) -> None:
        stands, found = {to: ["failed" if to == DEAD else "finished"] for to in TO}, places(self.redis)
        if dies and len(found) < len(stands):
            # What is for show comes last: the receipt of the first two may say nothing of them.
            assert redis_status(self.redis, bulk_job_id(NAME, 1)) == b"finished"
            found = {TO[0]: ["finished"], TO[5]: ["finished"], **found}
        assert found == stands
        assert self.redis.zcard(keys_of(self.redis).leases(QUEUE)) == 0
        assert self.redis.keys("rq:execution*") == []
        assert not any(self.redis.hexists(key, "rq_ses_parts") for key in self.redis.scan_iter("rq:job:*"))

    def doubted(self) -> set[str]:
        """Return who stands in a job that says that SES may have accepted it before."""
        found = set()
        for key in self.redis.scan_iter(f"{KEYS.job_prefix}*"):
            if b'"ambiguous"' in (self.redis.hget(key, "meta") or b""):
                job_id = key.decode().removeprefix(KEYS.job_prefix)
                found |= {to for to in TO if job_id in self.jobs_of(to)}
        return found

    def jobs_of(self, to: str) -> set[str]:
        return {
            key.decode().removeprefix(KEYS.job_prefix)
            for key in self.redis.scan_iter(f"{KEYS.job_prefix}*")
            if to in _recipients(self.redis, key)
        }


def redis_status(redis: Redis, job_id: str) -> bytes | None:
    return redis.hget(KEYS.job(job_id), "status")


def _recipients(redis: Redis, key: bytes) -> list[str]:
    return entries_of(redis, key.decode().removeprefix(KEYS.job_prefix), redis.hgetall(key))


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("others_first", [False, True])
def test_a_mixture(redis: Redis, dies: bool, others_first: bool) -> None:
    def act(number: int) -> None:
        scene = Scene(redis)
        [claim] = scene.ours.claim()
        ended = scene.ours.attempt(claim)
        scene.script.at = number
        with suppress(ResponseError):
            scene.settle(ended)
        if others_first:
            make_due(redis)
            scene.client.answers = lambda to: FIRST[to] if to == DEAD else success(to)
            scene.other.work()
        if not dies:
            assert scene.settle(ended) in (b"done", b"lost")
        scene.put_right()
        scene.check(dies=dies)
        doubled = {to for to, times in scene.client.sent.items() if times > 1}
        assert doubled <= (scene.doubted() & {TO[0], TO[5]} if dies else set()), number
        assert {to for to, times in scene.client.sent.items() if times} == set(TO) - {DEAD}
        _, sent, canceled = counts(redis)
        assert (sent <= 5, canceled) == (True, 0)

    assert each_break(redis, act) > 20


def test_what_was_left_of_a_shedding_is_made_though_the_job_itself_fails(redis: Redis) -> None:
    def act(number: int) -> None:
        scene = Scene(redis, RetryPolicy(on_unknown="hold"))
        scene.ours.attempts._bulk()._size = 2  # type: ignore[attr-defined, misc]
        [claim] = scene.ours.claim()
        scene.script.at = number
        scene.ours.settle(scene.ours.attempt(claim))
        redis.hset(KEYS.job(claim.lease.job_id), "failure_callback_name", "no.job.of.ours")
        scene.other.work()
        assert {to: len(where) for to, where in places(redis).items()} == dict.fromkeys(TO, 1)
        assert not any(redis.hexists(key, "rq_ses_parts") for key in redis.scan_iter("rq:job:*"))

    assert each_break(redis, act) > 10


@pytest.mark.parametrize("how", ["by claim", "by whoever cancels it"])
def test_what_was_left_of_a_shedding_is_canceled_with_its_campaign(redis: Redis, how: str) -> None:
    def act(number: int) -> None:
        scene = Scene(redis, RetryPolicy(on_unknown="hold"))
        scene.ours.attempts._bulk()._size = 2  # type: ignore[attr-defined, misc]
        [claim] = scene.ours.claim()
        scene.script.at = number
        ended = scene.ours.attempt(claim)
        if not scene.client.requests:
            scene.ours.settle(ended)
            if how == "by claim":
                redis.hset(keys_of(redis).campaign(NAME), "state", "canceled")
            else:
                Campaigns(connection=redis).cancel(NAME)
            scene.other.work()
            assert places(redis) == {to: ["canceled"] for to in TO}
            assert (scene.client.requests, counts(redis)) == ([], (6, 0, 6))

    assert each_break(redis, act) > 10


def test_a_job_that_is_canceled_by_its_id_loses_nothing_that_a_shedding_has_left(redis: Redis) -> None:
    refused = 0

    def act(number: int) -> None:
        nonlocal refused
        scene = Scene(redis, RetryPolicy(on_unknown="hold"))
        scene.ours.attempts._bulk()._size = 2  # type: ignore[attr-defined, misc]
        scene.client.answers = success
        [claim] = scene.ours.claim()
        scene.script.at = number
        ended = scene.ours.attempt(claim)
        if not scene.client.requests:
            scene.ours.settle(ended)
            divided = redis.hexists(KEYS.job(claim.lease.job_id), "rq_ses_parts")
            done = Mails(connection=redis).cancel(claim.lease.job_id)
            assert done.canceled != divided
            assert not divided or "again in a moment" in done.reason
            refused += divided
            scene.other.work()
            ends = {tuple(where) for where in places(redis).values()}
            assert len(places(redis)) == len(TO)
            assert ends <= {("finished",), ("canceled",)}
            enqueued, sent, canceled = counts(redis)
            assert enqueued == sent + canceled == len(TO)

    assert each_break(redis, act) > 10
    assert refused


def test_what_a_producer_wrote_before_it_broke_off_is_sent_once_though_its_receipts_are_gone(
    redis: Redis,
) -> None:
    def act(number: int) -> None:
        outbox = Outbox(redis)
        writing: Any = outbox._bulk._writings[0]
        writing._enqueue = BreakableSource(redis, writing._enqueue)
        writing._enqueue.at = number
        some = [Entry(to, {"name": "Ann"}) for to in addresses(170)]
        with suppress(OutboxUnavailable):
            outbox.send_bulk(campaign(), some)
        client = BulkClient()
        desk = Desk(redis, client)
        desk.work()
        for key in redis.scan_iter(f"{KEYS.job_prefix}*"):
            assert redis.hget(key, "status") == b"finished"
            redis.delete(key)
        outbox.send_bulk(campaign(), some)
        desk.work()
        assert client.sent == dict.fromkeys(addresses(170), 1), number
        found = redis.hmget(keys_of(redis).campaign(NAME), "enqueued", "sent", "complete")
        assert found == [b"170", b"170", b"1"]

    assert each_break(redis, act) > 30


def test_what_is_no_split_of_ours_keeps_nobody_from_the_jobs(redis: Redis) -> None:
    store(redis, campaign())
    for number, odd in enumerate((b"", b"no msgpack \xc1", b"\x93\x01\x02\x03", b"\x81\xa5parts\x07")):
        job_id = enqueue(redis, campaign(), [TO[number]], number=number)
        redis.hset(KEYS.job(job_id), "rq_ses_parts", odd)
    Desk(redis, BulkClient()).work()
    assert places(redis) == {to: ["finished"] for to in TO[:4]}


@pytest.mark.parametrize("dies", [False, True])
def test_a_shedding(redis: Redis, dies: bool) -> None:
    def act(number: int) -> None:
        scene = Scene(redis, RetryPolicy(on_unknown="hold"))
        scene.ours.attempts._bulk()._size = 2  # type: ignore[attr-defined, misc]
        scene.client.answers = lambda to: FIRST[to] if to == DEAD else success(to)
        [claim] = scene.ours.claim()
        scene.script.at = number
        with suppress(ResponseError):
            ended = scene.ours.attempt(claim)
            if not dies:
                scene.ours.settle(ended)
        scene.put_right()
        scene.check(dies=dies)
        doubled = {to for to, times in scene.client.sent.items() if times > 1}
        assert doubled <= (scene.doubted() & set(TO[:2]) if dies else set()), number

    assert each_break(redis, act) > 10
