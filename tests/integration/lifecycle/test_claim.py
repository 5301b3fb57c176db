"""Claims, read back through RQ's own classes."""

from __future__ import annotations

import time

import pytest
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import (
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from rq_ses import Outbox, contract
from rq_ses_worker.lifecycle.records import (
    Suspended,
)
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.mails.transitions import PAYLOAD, Story, failed


def test_a_claimed_job_is_started_as_rq_reads_it(story: Story) -> None:
    story.enqueue(meta={"mine": 1})
    claim = story.claim()
    job = story.job()
    assert (claim.lease.job_id, claim.fresh, claim.hooked) == ("j1", True, False)
    assert job.get_status() == JobStatus.STARTED
    assert job.worker_name == "ours"
    assert job.started_at is not None
    assert job.last_heartbeat is not None
    assert story.places() == ["wip"]
    registry = StartedJobRegistry(queue=story.queue)
    assert registry.get_job_ids() == ["j1"]
    assert registry.count == 1
    # RQ's record of an execution comes with the first renewal: most mails are sent before.
    assert job.get_executions() == []
    claimed_at = job.started_at
    assert story.ours.renew([claim.lease]) == [claim.lease]
    [execution] = job.get_executions()
    assert (execution.id, execution.worker_name) == (claim.lease.execution, "ours")
    assert abs((execution.created_at - claimed_at).total_seconds()) < 1.1
    assert Execution.fetch(claim.lease.execution, "j1", story.redis).job_id == "j1"
    assert Job(id="j1", connection=story.redis).restore({b"data": claim.data}) is None


def test_jobs_are_claimed_in_order_and_no_more_than_wanted(story: Story) -> None:
    for name in ("j1", "j2", "j3"):
        story.enqueue(name)
    first, _ = story.ours.claim(2)
    second, _ = story.ours.claim(2)
    assert [c.lease.job_id for c in first] == ["j1", "j2"]
    assert [c.lease.job_id for c in second] == ["j3"]
    # Those of one claim have an id in common: no job is claimed twice by it.
    assert len({c.lease.member for c in first + second}) == 3
    assert not {c.lease.execution for c in first} & {c.lease.execution for c in second}
    assert {c.lease for c in first + second} == set(story.ours.held())


def test_queues_are_claimed_from_in_their_order(redis: Redis) -> None:
    for name in ("low", "high"):
        Queue(name, connection=redis, serializer=JSONSerializer).enqueue(
            contract.JOB_FUNCTION, PAYLOAD, job_id=name
        )
    claims, _ = Lifecycle(redis, ["high", "low"], "w", "cccccccc", 30.0).claim(5)
    assert [(c.lease.queue, c.lease.job_id) for c in claims] == [(0, "high"), (1, "low")]


def test_a_canceled_a_doubled_and_a_vanished_job_are_dropped(story: Story) -> None:
    story.enqueue("gone").delete(remove_from_queue=False)
    story.redis.rpush(KEYS.queue("mail"), "gone")
    story.enqueue("twice")
    story.redis.rpush(KEYS.queue("mail"), "twice", "no:job", b"\xff\xfe")
    story.enqueue("stopped")
    story.redis.hset("rq:job:stopped", "status", "canceled")
    story.redis.set("rq:job:text", "not a hash")
    story.redis.rpush(KEYS.queue("mail"), "text")
    claims, dropped = story.ours.claim(10)
    assert [c.lease.job_id for c in claims] == ["twice"]
    assert dropped == 7


def test_each_job_of_a_claim_has_its_own_date_whatever_another_says(redis: Redis) -> None:
    ids = [receipt.job_id for receipt in Outbox(connection=redis).send_many([mail() for _ in range(4)])]
    dates = [redis.hget(KEYS.job(job_id), "enqueued_at") for job_id in ids]
    redis.hset(KEYS.job(ids[1]), "enqueued_at", "x" * 50)
    redis.hdel(KEYS.job(ids[2]), "enqueued_at")
    claims, _ = Lifecycle(redis, ["mail"], "w", "cccccccc", 30.0).claim(5)
    assert [(c.lease.job_id, c.queued_at) for c in claims] == list(
        zip(ids, [dates[0], b"x" * 40, b"", dates[3]], strict=True)
    )


def test_a_claim_stops_at_its_bound_of_bytes(story: Story) -> None:
    big = {**PAYLOAD, "text": "".join(chr(33 + (i * 7919) % 90) for i in range(5_000_000))}
    for name in ("j1", "j2", "j3", "j4"):
        story.queue.enqueue(contract.JOB_FUNCTION, big, job_id=name)
    story.redis.hset("rq:job:j1", "data", b"x" * 9_000_000)
    claims, _ = story.ours.claim(4)
    assert [c.lease.job_id for c in claims] == ["j1"]


def test_nothing_is_claimed_while_workers_are_suspended(story: Story) -> None:
    story.enqueue()
    suspend(story.redis)
    with pytest.raises(Suspended):
        story.ours.claim(1)
    resume(story.redis)
    assert story.claim().lease.job_id == "j1"


def test_a_job_with_a_callback_or_webhook_is_marked(story: Story) -> None:
    story.enqueue()
    story.redis.hset("rq:job:j1", "failure_callback_name", "os.system")
    assert story.claim().hooked


def test_what_a_lost_claim_took_is_found_and_adopted(story: Story) -> None:
    story.enqueue("j1", meta={"mine": 1})
    story.settle([failed(story.claim().lease)])
    story.job().requeue()
    claim = story.claim()
    story.enqueue("j2")
    story.claim(story.other)
    [lease] = story.ours.held()
    assert lease == claim.lease
    assert story.ours.adopt(lease) == claim
    story.redis.delete("rq:job:j1")
    assert story.ours.adopt(lease) is None


def test_each_claim_and_each_promotion_tells_the_servers_time(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 9e9)
    for hear in (lambda: story.ours.claim(1), lambda: story.other.promote()):
        hear()
    seconds, microseconds = story.redis.time()
    for lifecycle in (story.ours, story.other):
        assert lifecycle.clock.now() == pytest.approx(seconds + microseconds / 1e6, abs=2)
