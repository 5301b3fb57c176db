"""Each transition on a server without memory, where it must go on, and on one that takes no writes at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses import OutboxUnavailable
from rq_ses.deadletter import DeadLetters
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.mails.world import LEASES, LIST, World, ending


@contextmanager
def configured(redis: Redis, name: str, value: int) -> Iterator[None]:
    redis.config_set(name, value)
    try:
        yield
    finally:
        redis.config_set(name, 0)


@contextmanager
def replica(redis: Redis) -> Iterator[None]:
    redis.replicaof("127.0.0.1", 1)
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")


def full(redis: Redis) -> Any:
    return configured(redis, "maxmemory", 1)


def test_what_is_queued_when_the_server_is_full_is_drained(redis: Redis) -> None:
    world = World(redis)
    ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(4)])]
    later = world.outbox.send(mail(), delay=0).job_id
    with full(redis):
        with pytest.raises(OutboxUnavailable):
            world.outbox.send(mail())
        started = Lifecycle(redis, ["mail"], "started", "d" * 16, 30.0)
        claims, _ = started.claim(10)
        assert [claim.lease.job_id for claim in claims] == ids
        actions = ("sent", "retry", "failed", "back")
        settlements = [ending(claim.lease, action) for claim, action in zip(claims, actions, strict=True)]
        assert started.settle(settlements, clock=time.monotonic()) == ["done"] * 4
        assert started.promote()[0] == 2
        world.send(started, world.claim(started))
    assert world.places() == {
        ids[0]: ["finished"],
        ids[1]: ["finished"],
        ids[2]: ["failed"],
        ids[3]: ["finished"],
        later: ["finished"],
    }


def test_leases_are_renewed_and_lost_ones_reclaimed_on_a_full_server(redis: Redis) -> None:
    world = World(redis)
    world.outbox.send_many([mail(), mail()])
    kept, lost = [claim.lease for claim in world.claim()]
    redis.zadd(LEASES, {f"{lost.job_id}:{lost.execution}": 1.0})
    with full(redis):
        assert world.ours.renew([kept]) == [kept]
        assert [found.lease for found in world.other.reclaim()] == [lost]
        assert world.other.settle([ending(lost, "back", overdue=True)], clock=0) == ["done"]
        world.other.learn(None, ask_again=60)
        Sweep(redis, "mail").run()
    assert redis.lrange(LIST, 0, -1) == [lost.job_id.encode()]


def test_what_failed_or_stands_wrong_is_put_back_on_a_full_server(redis: Redis) -> None:
    world = World(redis)
    failed, unlisted = [receipt.job_id for receipt in world.outbox.send_many([mail(), mail()])]
    [claim], _ = world.ours.claim(1)
    world.ours.settle([ending(claim.lease, "failed")], clock=0)
    redis.delete(LIST)
    with full(redis):
        assert DeadLetters(redis).resend(include_unknown=True).resent == 1
        [report] = Audit(redis, "mail", RetryPolicy(), wait=0).run(repair=True)
    assert (report.job_id, report.done) == (unlisted, "put back into the queue")
    assert set(redis.lrange(LIST, 0, -1)) == {failed.encode(), unlisted.encode()}


@pytest.mark.parametrize(
    "refusing",
    [lambda redis: configured(redis, "min-replicas-to-write", 1), replica],
    ids=["NOREPLICAS", "READONLY"],
)
def test_a_server_that_takes_no_writes_says_so_before_anything_is_read_or_moved(
    redis: Redis, refusing: Callable[[Redis], Any]
) -> None:
    world = World(redis)
    world.outbox.send_many([mail(), mail(), mail()])
    world.outbox.send(mail(), delay=0)
    claims, _ = world.ours.claim(2)
    lease = claims[0].lease
    redis.zadd(LEASES, {f"{lease.job_id}:{lease.execution}": 1.0})
    dumps = {key: redis.dump(key) for key in redis.keys("rq:*")}
    lifecycle = world.other
    steps: list[Callable[[], Any]] = [
        lambda: lifecycle.claim(1),
        lifecycle.promote,
        lifecycle.reclaim,
        lambda: lifecycle.renew([claims[1].lease]),
        lambda: lifecycle.settle([ending(claims[1].lease, "sent")], clock=0),
        lambda: lifecycle.learn(None, ask_again=1),
        Sweep(redis, "mail").run,
    ]
    with refusing(redis):
        for step in steps:
            with pytest.raises(RedisError, match=r"NOREPLICAS|read only replica"):
                step()
    assert {key: redis.dump(key) for key in redis.keys("rq:*")} == dumps


def test_a_queue_with_a_spoilt_key_keeps_no_other_from_being_claimed(redis: Redis) -> None:
    world = World(redis)
    good = world.outbox.send(mail()).job_id
    lifecycle = Lifecycle(redis, ["mail-high", "mail"], "w", "e" * 16, 30.0, gate=GatePolicy())
    for key in ("rq:queue:mail-high", "rq:wip:mail-high"):
        redis.lpush("rq:queue:mail-high", "x")
        redis.delete(key)
        redis.set(key, "of another type")
        claims, _ = lifecycle.claim(5)
        assert [claim.lease.job_id for claim in claims] == [good]
        # Nothing is hidden: where there is nothing else to do, it says what is wrong.
        with pytest.raises(ResponseError, match=f"WRONGTYPE {key} is not of its type: delete it"):
            lifecycle.claim(5)
        redis.delete(key)
        lifecycle.settle([ending(claims[0].lease, "back")], clock=0)


def test_a_list_of_another_type_strands_nothing_that_falls_due_in_it(redis: Redis) -> None:
    world = World(redis)
    ids = {world.outbox.send(mail(), delay=0).job_id for _ in range(20)}
    redis.set(LIST, "of another type")
    other = world.outbox.__class__(connection=redis, queue="other").send(mail(), delay=0).job_id
    lifecycle = Lifecycle(redis, ["mail", "other"], "w", "e" * 16, 30.0)
    assert lifecycle.promote()[0] == 1
    assert redis.lrange(KEYS.queue("other"), 0, -1) == [other.encode()]
    redis.delete(LIST)
    assert lifecycle.promote()[0] == 20
    assert {job_id.decode() for job_id in redis.lrange(LIST, 0, -1)} == ids


def test_a_spoilt_key_of_one_mail_lets_no_other_lease_run_out(redis: Redis) -> None:
    world = World(redis)
    ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(3)])]
    leases = [claim.lease for claim in world.claim()]
    redis.set(KEYS.job(ids[0]), "of another type")
    before = redis.zscore(LEASES, f"{ids[2]}:{leases[2].execution}")
    assert world.ours.renew(leases) == leases
    assert redis.zscore(LEASES, f"{ids[2]}:{leases[2].execution}") > before
