"""Every script, broken off at each of its calls: nothing is stranded, nothing that was sent is sent again.

What is left is put right by what runs anyway: the next call of the script, other workers, reclaim, promote,
the sweep, and the audit. Each mail is sent by a stand-in that counts.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Submission, contract
from rq_ses.deadletter import DeadLetters
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.records import Claim, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.breaking import Breakable, breakable_source, each_break
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail
from support.mails.world import LEASES, LIST, QUEUE, SCHEDULED, World, ending


def test_a_claim(redis: Redis) -> None:
    def act(number: int) -> None:
        for adopting in (True, False):
            for others_first in (True, False):
                redis.flushall()
                world = World(redis)
                ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(3)])]
                redis.rpush(LIST, "gone")
                redis.expire(KEYS.job(ids[1]), 1000)
                claims: list[Claim] = []
                if not world.broken_off(world.scripts["claim"], number, lambda: claims.extend(world.claim())):  # noqa: B023
                    assert len(claims) == 3
                if others_first:
                    world.other_works()
                if adopting:
                    world.send(world.ours, world.adopt())
                world.put_right()
                world.check(dict.fromkeys(ids, "finished"))
                assert world.sent == Counter(ids), "a mail went out twice, or never"

    assert each_break(redis, act) > 16


def test_a_promotion(redis: Redis) -> None:
    def act(number: int) -> None:
        world = World(redis)
        retried = world.outbox.send(mail()).job_id
        world.ours.settle([ending(claim.lease, "retry") for claim in world.claim()], clock=time.monotonic())
        ids = [retried, world.outbox.send(mail(), delay=0).job_id]
        later = world.outbox.send(mail(), delay=3600).job_id
        world.broken_off(world.scripts["promote"], number, world.ours.promote)
        world.other_works()
        world.put_right()
        world.check({**dict.fromkeys(ids, "finished"), later: "scheduled"})
        assert world.sent == Counter(ids)

    assert each_break(redis, act) > 10


@pytest.mark.parametrize("action", ["sent", "retry", "failed", "back"])
@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("others_first", [False, True])
def test_a_settlement(redis: Redis, action: str, dies: bool, others_first: bool) -> None:
    """Its worker says it again, or is lost."""

    def act(number: int) -> None:
        world = World(redis)
        ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(2)])]
        settlements = [ending(claim.lease, action) for claim in world.claim()]
        settle = lambda: world.ours.settle(settlements, clock=time.monotonic())  # noqa: E731
        heard = world.broken_off(world.scripts["settle"], number, settle)
        written = [job_id for job_id in ids if redis.hget(f"rq:job:{job_id}", "status") == b"finished"]
        failed = [job_id for job_id in ids if redis.hget(f"rq:job:{job_id}", "status") == b"failed"]
        if others_first:
            world.other_works()
        if heard and not dies:
            assert set(settle()) <= ({"done", "lost", "vanished"} if others_first else {"done", "lost"})
        world.put_right()
        if action == "sent":
            assert set(world.sent) <= (set(ids) - set(written) if dies else set())
        if action == "failed" and not dies:
            world.check(dict.fromkeys(ids, "failed"))
            assert fetch(redis, ids[0]).latest_result().exc_string == "MessageRejected: no"
            return
        if action == "failed":
            assert not set(world.sent) & set(failed)
            for job_id in failed:
                assert world.places()[job_id] == ["failed"]
            world.check({job_id: "failed" if job_id in failed else "finished" for job_id in ids})
            return
        world.check(dict.fromkeys(ids, "finished"))
        if action == "sent" and not dies:
            assert {type(fetch(redis, job_id).return_value()) for job_id in ids} == {dict}
        assert set(world.sent.values()) <= {1}

    assert each_break(redis, act) > 9


@pytest.mark.parametrize("meanwhile", ["canceled", "queued", "scheduled", "failed"])
def test_a_late_sent(redis: Redis, meanwhile: str) -> None:
    def act(number: int) -> None:
        world = World(redis)
        job_id = world.outbox.send(mail(), key="k").job_id
        [claim] = world.claim()
        if meanwhile == "canceled":
            fetch(redis, job_id).cancel()
        else:
            redis.zadd(LEASES, {f"{job_id}:{claim.lease.execution}": 1.0})
            action: Any = {"queued": "back", "scheduled": "retry", "failed": "failed"}[meanwhile]
            delay = {"fields": {"delay": 60.0}} if action == "retry" else {}
            overdue = ending(claim.lease, action, overdue=True)
            if delay:
                overdue = Settlement(
                    claim.lease, "retry", datetime.now(UTC), {"attempts": 1}, {"delay": 60.0}, overdue=True
                )
            world.other.settle([overdue], clock=0)
        late = lambda: world.ours.settle([ending(claim.lease, "sent")], clock=0)  # noqa: E731
        if world.broken_off(world.scripts["settle"], number, late):
            late()
        world.put_right()
        world.check({job_id: "finished"})
        assert not world.sent

    assert each_break(redis, act) > 12


def test_a_renewal_and_a_reclaim(redis: Redis) -> None:
    def act(number: int) -> None:
        world = World(redis)
        job_id = world.outbox.send(mail()).job_id
        [claim] = world.claim()
        world.broken_off(world.scripts["renew"], number, lambda: world.ours.renew([claim.lease]))
        redis.zadd(LEASES, {"nonsense": 1.0})
        world.broken_off(world.scripts["reclaim"], number, world.ours.reclaim)
        world.send(world.ours, [claim])
        world.put_right()
        world.check({job_id: "finished"})

    each_break(redis, act)


@pytest.mark.parametrize("more", [0, 3])
def test_an_enqueueing(redis: Redis, more: int) -> None:
    """The call is made again by the app: with the same key. Many jobs are written in another way than few."""

    def act(number: int) -> None:
        world = World(redis)
        for key in ("canceled", "unlisted"):
            world.outbox.send(mail(), key=key)
        fetch(redis, contract.keyed_job_id(QUEUE, "canceled")).cancel()
        redis.delete(LIST)
        world.outbox.send(mail(), key="unscheduled", delay=3600)
        redis.delete(SCHEDULED)
        keys = ["new", "canceled", "unlisted", *(f"more{number}" for number in range(more))]
        delayed = ["unscheduled", "later", *(f"later{number}" for number in range(more))]
        wanted: list[Any] = [Submission(mail(), key) for key in keys]
        wanted += [Submission(mail(), key, delay=3600) for key in delayed]
        script = breakable_source(redis, world.outbox)
        with suppress(Exception):
            script.at = number
            world.outbox.send_many(wanted)
        sent_before = list(redis.lrange(LIST, 0, -1))
        world.outbox.send_many(wanted)
        world.put_right()
        ids = {key: contract.keyed_job_id(QUEUE, key) for key in (*keys, *delayed)}
        later = {ids[key] for key in delayed}
        world.check({job_id: "scheduled" if job_id in later else "finished" for job_id in ids.values()})
        assert world.sent == Counter(ids[key] for key in keys), sent_before

    assert each_break(redis, act) > 16


def test_an_enqueueing_without_keys_whose_ids_have_no_job_is_dropped(redis: Redis) -> None:
    def act(number: int) -> None:
        world = World(redis)
        script = breakable_source(redis, world.outbox)
        script.at = number
        with suppress(Exception):
            world.outbox.send_many([mail(), Submission(mail(), delay=0)])
        world.put_right()
        assert set(world.places()) == set(world.sent)

    assert each_break(redis, act) >= 6


@pytest.mark.parametrize("edits", [{}, {"sender": "another@example.com"}])
def test_a_resending(redis: Redis, edits: dict[str, Any]) -> None:
    def act(number: int) -> None:
        world = World(redis)
        ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(2)])]
        world.ours.settle([ending(claim.lease, "failed") for claim in world.claim()], clock=0)
        letters = DeadLetters(redis)
        script = Breakable(redis, letters._resending._script)
        letters._resending._script = script  # type: ignore[assignment]
        script.at = number
        with suppress(ResponseError):
            letters.resend(edits=edits, include_unknown=True)
        world.other_works()
        letters.resend(edits=edits, include_unknown=True)
        world.put_right()
        world.check(dict.fromkeys(ids, "finished"))
        assert world.sent == Counter(ids)

    assert each_break(redis, act) > 10


@pytest.mark.parametrize("resend", [False, True])
def test_a_restoring(redis: Redis, resend: bool) -> None:
    def act(number: int) -> None:
        world = World(redis)
        ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(2)])]
        world.ours.settle([ending(claim.lease, "failed") for claim in world.claim()], clock=0)
        letters, file = DeadLetters(redis), io.StringIO()
        letters.export(file)
        redis.flushall()
        script = Breakable(redis, letters._archive._script)
        letters._archive._script = script  # type: ignore[assignment]
        script.at = number
        with suppress(ResponseError):
            letters.restore(io.BytesIO(file.getvalue().encode()), resend=resend, include_unknown=True)
        world.other_works()
        letters.restore(io.BytesIO(file.getvalue().encode()), resend=resend, include_unknown=True)
        world.put_right()
        world.check(dict.fromkeys(ids, "finished" if resend else "failed"))
        assert world.sent == Counter(ids if resend else [])

    assert each_break(redis, act) > 10


def unlisted(redis: Redis, job_id: str) -> None:
    redis.delete(LIST)


def twice(redis: Redis, job_id: str) -> None:
    redis.rpush(LIST, job_id, job_id)
    redis.zadd(SCHEDULED, {job_id: 1.0})


def without_payload(redis: Redis, job_id: str) -> None:
    redis.hdel(KEYS.job(job_id), "data")


def started_nowhere(redis: Redis, job_id: str) -> None:
    Lifecycle(redis, [QUEUE], "dead", "c" * 8, 30.0).claim(1)
    redis.delete(LEASES)


@pytest.mark.parametrize("spoil", [unlisted, twice, without_payload, started_nowhere])
def test_a_repair(redis: Redis, spoil: Callable[[Redis, str], None]) -> None:
    def act(number: int) -> None:
        world = World(redis)
        job_id = world.outbox.send(mail()).job_id
        spoil(redis, job_id)
        audit = Audit(redis, QUEUE, RetryPolicy(), wait=0)
        script = Breakable(redis, audit._places._script)
        audit._places._script = script  # type: ignore[assignment]
        looks = iter([0, 0, number])

        def call(**arguments: Any) -> Any:
            script.at = next(looks, 0)
            return script(**arguments)

        audit._places._script = call  # type: ignore[assignment]
        with suppress(ResponseError):
            list(audit.run(repair=True))
        world.put_right()
        world.check({job_id: "failed" if spoil is without_payload else "finished"})
        assert world.sent == Counter([job_id] * (spoil is not without_payload))

    assert each_break(redis, act) > 15


def test_a_sweep(redis: Redis) -> None:
    def act(number: int) -> None:
        world = World(redis)
        job_id, later = world.outbox.send(mail()).job_id, world.outbox.send(mail(), delay=3600).job_id
        canceled = world.outbox.send(mail()).job_id
        fetch(redis, canceled).cancel()
        for expiring in (job_id, later):
            redis.expire(KEYS.job(expiring), 1000)
        sweep, calls = Sweep(redis, QUEUE), 0
        whole = sweep._script

        def call(**arguments: Any) -> Any:
            nonlocal calls
            script = Breakable(redis, whole)
            script.at = max(0, number - calls)
            reply = script(**arguments)
            calls += int(redis.get("breaking:calls") or 0) if number > calls else 0
            return reply

        sweep._script = call
        with suppress(ResponseError):
            sweep.run()
        redis.set("breaking:calls", calls + int(redis.get("breaking:calls") or 0))
        world.put_right()
        redis.delete(KEYS.registry("canceled", QUEUE), KEYS.job(canceled))
        world.check({job_id: "finished", later: "scheduled"})

    assert each_break(redis, act) > 10
