"""What an earlier execution, another batch or a broken-off script leaves, and who meets it."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses import Outbox, OutboxUnavailable, contract
from rq_ses.deadletter import DeadLetters
from rq_ses.server.refusal import is_denied
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.breaking import let
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.mails.transitions import Story
from support.mails.world import World, ending


@pytest.mark.parametrize("renewed", [False, True])
def test_what_ses_accepted_of_a_job_that_was_requeued_meanwhile_is_never_sent_again(
    story: Story, renewed: bool
) -> None:
    story.enqueue()
    first = story.claim()
    if renewed:
        story.ours.renew([first.lease])
    story.queue.enqueue_job(story.job())
    second = story.claim(story.other)
    assert story.ours.settle([ending(first.lease, "sent")], clock=0) == ["done"]
    assert story.other.settle([ending(second.lease, "retry")], clock=0) != ["done"]
    assert story.job().get_status() == "finished"
    assert story.other.promote()[0] == 0
    assert story.other.claim(5)[0] == []


def test_a_build_before_knows_an_execution_of_a_job_whose_index_a_stock_worker_left(story: Story) -> None:
    """It takes a started job that has an index without the execution for another's."""
    story.enqueue()
    story.redis.zadd(KEYS.executions("j1"), {"of-a-stock-worker": 1.0})
    lease = story.claim().lease
    assert story.redis.zscore(KEYS.executions("j1"), lease.execution) is not None
    assert story.redis.hget(KEYS.execution(lease.member), "job_id") == b"j1"
    assert story.ours.settle([ending(lease, "sent")], clock=0) == ["done"]
    assert story.redis.exists(KEYS.execution(lease.member)) == 0


def test_a_spoilt_record_of_an_unfinished_execution_keeps_nothing_from_being_claimed(story: Story) -> None:
    story.enqueue()
    first = story.claim()
    story.redis.set(KEYS.execution(first.lease.member), "of another type")
    story.queue.enqueue_job(story.job())
    story.enqueue("j2")
    assert [claim.lease.job_id for claim in story.other.claim(5)[0]] == ["j1", "j2"]


@pytest.mark.parametrize("command", ["copy", "hset"])
def test_an_enqueueing_that_is_refused_leaves_nobodys_words_behind(
    redis: Redis, restricted: Redis, command: str
) -> None:
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command}")
    with pytest.raises(OutboxUnavailable) as raised:
        Outbox(connection=restricted).send_many([mail() for _ in range(9)])
    assert isinstance(raised.value.__cause__, RedisError)
    assert is_denied(raised.value.__cause__)
    assert redis.exists(KEYS.scratch) == 0


@pytest.mark.parametrize("command", ["rename", "copy"])
def test_a_restoring_that_is_refused_leaves_nobodys_words_behind(
    redis: Redis, restricted: Redis, command: str
) -> None:
    world, file = World(redis), io.StringIO()
    world.outbox.send(mail())
    world.ours.settle([ending(claim.lease, "failed") for claim in world.claim()], clock=0)
    DeadLetters(redis).export(file)
    redis.flushall()
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command}")
    with pytest.raises(ResponseError) as raised:
        DeadLetters(restricted).restore(io.BytesIO(file.getvalue().encode()))
    assert is_denied(raised.value)
    assert redis.exists(KEYS.scratch) == 0


def test_a_long_meta_makes_no_other_receipt_larger(redis: Redis) -> None:
    world = World(redis)
    ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(3)])]
    settlements = [ending(claim.lease, "sent") for claim in world.claim()]
    settlements[0].meta["users"] = "x" * 100
    assert world.ours.settle(settlements, clock=0) == ["done"] * 3
    assert [redis.object("encoding", KEYS.job(job_id)) for job_id in ids] == [
        b"hashtable", b"listpack", b"listpack",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["zadd", "zrem", "xadd", "copy"])
def test_a_settlement_that_is_refused_leaves_nobodys_words_behind(
    redis: Redis, restricted: Redis, command: str
) -> None:
    world = World(redis)
    job_id = world.outbox.send(mail()).job_id
    ours = Lifecycle(restricted, ["mail"], "ours", "aaaaaaaa", 30.0)
    claims, _ = ours.claim(1)
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command}")
    with suppress(RedisError):
        ours.settle([ending(claims[0].lease, "sent")], clock=0)
    assert status(redis, job_id) == "finished"
    assert redis.exists(KEYS.scratch, KEYS.result_scratch) == 0
    assert redis.hget(KEYS.job(job_id), contract.EXECUTION_FIELD) is None
