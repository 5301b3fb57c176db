"""Settlements of mails whose lease stands, read back through RQ's own classes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from rq.job import JobStatus
from rq.registry import (
    FailedJobRegistry,
    FinishedJobRegistry,
)
from rq.results import Result

from rq_ses import contract
from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.ses.outcome import Sent
from support.mails.keys import KEYS
from support.mails.transitions import PAYLOAD, Story, back, failed, retry, sent


def test_a_sent_mail_leaves_a_small_receipt_that_rq_reads(story: Story) -> None:
    story.enqueue(description="b@example.com → Hi")
    claim = story.claim()
    assert story.settle([sent(claim.lease)]) == ["done"]
    job = story.job()
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == {"message_id": "m-1"}
    assert job.get_meta() == {"attempts": 1}
    assert job.description == "b@example.com → Hi"
    assert job.func_name == contract.JOB_FUNCTION
    assert job.args == []
    assert job.ended_at >= job.started_at >= job.enqueued_at >= job.created_at
    assert story.places() == ["finished"]
    assert FinishedJobRegistry(queue=story.queue).get_job_ids() == ["j1"]
    assert job.get_executions() == []
    assert 86_000 < story.redis.ttl("rq:job:j1") <= 86_400
    assert 86_000 < story.redis.ttl("rq:results:j1") <= 86_400
    assert story.redis.object("encoding", "rq:job:j1") == b"listpack"
    assert story.redis.zcard(KEYS.leases("mail")) == 0


def test_a_receipts_description_is_cut_between_characters(story: Story) -> None:
    story.enqueue(description="ä" * 60)
    story.settle([sent(story.claim().lease)])
    assert story.job().description == "ä" * 30 + "…"


def test_a_result_ttl_of_zero_leaves_nothing(story: Story) -> None:
    story.enqueue(result_ttl=0)
    story.settle([sent(story.claim().lease)])
    assert not story.redis.keys("rq:job:*")
    assert not story.redis.keys("rq:results:*")


def test_a_negative_result_ttl_keeps_the_receipt(story: Story) -> None:
    story.enqueue(result_ttl=-1)
    story.settle([sent(story.claim().lease)])
    assert story.redis.ttl("rq:job:j1") == -1
    assert FinishedJobRegistry(queue=story.queue).get_job_ids() == ["j1"]


def test_a_failed_mail_keeps_its_payload_and_its_reason(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    assert story.settle([failed(claim.lease, "MessageRejected: nö (HTTP 400)")]) == ["done"]
    job = story.job()
    assert job.get_status() == JobStatus.FAILED
    result = job.latest_result()
    assert result.type == Result.Type.FAILED
    assert result.exc_string == "MessageRejected: nö (HTTP 400)"
    assert job._exc_info == "MessageRejected: nö (HTTP 400)"
    assert job.args == [PAYLOAD]
    assert FailedJobRegistry(queue=story.queue).get_job_ids() == ["j1"]
    assert story.places() == ["failed"]
    assert story.redis.ttl("rq:job:j1") > 31_000_000


def test_a_requeued_mail_is_claimed_afresh_and_keeps_no_ttl(story: Story) -> None:
    story.enqueue()
    story.settle([failed(story.claim().lease)])
    story.job().requeue()
    assert story.places() == ["queue"]
    claim = story.claim()
    assert claim.fresh
    assert claim.meta == b'{"attempts": 1}'
    assert story.redis.ttl("rq:job:j1") == -1
    assert story.settle([sent(claim.lease)]) == ["done"]
    assert [r.type for r in story.job().results()] == [Result.Type.SUCCESSFUL, Result.Type.FAILED]


def test_settling_twice_changes_nothing(story: Story) -> None:
    for name in ("j1", "j2", "j3"):
        story.enqueue(name)
    claims, _ = story.ours.claim(3)
    settlements = [sent(claims[0].lease), retry(claims[1].lease, 60), failed(claims[2].lease)]
    assert story.settle(settlements) == ["done", "done", "done"]
    before = {key: story.redis.hgetall(key) for key in story.redis.keys("rq:job:*")}
    # The job tells whose end it was, and when.
    assert story.settle(settlements) == ["done", "done", "done"]
    assert {key: story.redis.hgetall(key) for key in story.redis.keys("rq:job:*")} == before
    assert [story.places(name) for name in ("j1", "j2", "j3")] == [["finished"], ["scheduled"], ["failed"]]


def test_who_says_sent_of_a_mail_that_another_execution_has_sent_has_lost_it(story: Story) -> None:
    story.enqueue()
    old = story.claim()
    story.redis.zadd(KEYS.leases("mail"), {old.lease.member: 1.0})
    story.settle([back(old.lease, overdue=True)], story.other)
    [new], _ = story.other.claim(1)
    written = sent(new.lease)
    assert story.settle([written], story.other) == ["done"]
    assert story.settle([written], story.other) == ["done"]
    assert story.settle([sent(old.lease)._replace(ended=written.ended)]) == ["lost"]
    assert story.settle([sent(new.lease)], story.other) == ["lost"]


@pytest.mark.parametrize("end", [lambda lease: retry(lease, 60), failed], ids=["retry", "failed"])
def test_who_comes_after_its_execution_was_ended_by_another_has_lost_it(
    story: Story, end: Callable[[Lease], Settlement]
) -> None:
    story.enqueue()
    lease = story.claim().lease
    story.redis.zadd(KEYS.leases("mail"), {lease.member: 1.0})
    assert story.settle([end(lease)._replace(overdue=True)], story.other) == ["done"]
    assert story.settle([end(lease)]) == ["lost"]


def test_a_job_that_depends_on_a_mail_stays_deferred(story: Story) -> None:
    story.enqueue()
    dependent = story.queue.enqueue("time.time", depends_on=story.job())
    assert story.settle([sent(story.claim().lease)]) == ["done"]
    assert story.job().get_status() == JobStatus.FINISHED
    assert dependent.get_status(refresh=True) == JobStatus.DEFERRED


def test_a_broken_key_does_not_keep_its_batch_from_being_settled(story: Story) -> None:
    story.enqueue("j1")
    story.enqueue("j2")
    claims, _ = story.ours.claim(2)
    story.redis.set("rq:results:j1", "not a stream")
    assert story.settle([sent(c.lease) for c in claims]) == ["broken", "done"]
    assert story.places("j2") == ["finished"]


def test_the_workers_counts_are_written_only_while_it_is_registered(story: Story) -> None:
    story.enqueue("j1")
    story.enqueue("j2")
    story.enqueue("j3")
    claims, _ = story.ours.claim(3)
    story.settle([sent(claims[0].lease)])
    story.ours.count()
    assert not story.redis.exists("rq:worker:ours")
    story.redis.hset("rq:worker:ours", "birth", "x")
    story.settle([sent(claims[1].lease), failed(claims[2].lease)])
    story.ours.count()
    story.ours.count()
    assert story.redis.hmget("rq:worker:ours", "successful_job_count", "failed_job_count") == [b"2", b"1"]


def test_counts_that_could_not_be_written_are_written_later(story: Story) -> None:
    for name in ("j1", "j2"):
        story.enqueue(name)
    claims, _ = story.ours.claim(2)
    story.redis.set("rq:worker:ours", "of another type")
    assert story.settle([sent(claims[0].lease)]) == ["done"]
    story.redis.delete("rq:worker:ours")
    story.redis.hset("rq:worker:ours", "birth", "x")
    story.settle([sent(claims[1].lease)])
    story.ours.count()
    assert story.redis.hget("rq:worker:ours", "successful_job_count") == b"2"


def test_what_was_written_by_a_call_whose_reply_was_lost_is_counted_once(story: Story) -> None:
    story.redis.hset("rq:worker:ours", "birth", "x")
    for name in ("j1", "j2"):
        story.enqueue(name)
    claims, _ = story.ours.claim(2)
    batch = [sent(claim.lease) for claim in claims]
    for call in story.ours.settlement(batch, clock=time.monotonic()).calls:
        call.run()  # and nobody reads what it replies
    assert story.settle(batch) == ["done", "done"]
    story.ours.count()
    assert story.redis.hget("rq:worker:ours", "successful_job_count") == b"2"


def test_counts_whose_reply_was_lost_are_written_once(story: Story) -> None:
    story.redis.hset("rq:worker:ours", "birth", "x")
    for name in ("j1", "j2", "j3"):
        story.enqueue(name)
    claims, _ = story.ours.claim(3)
    story.settle([sent(claims[0].lease)._replace(seconds=2.0), retry(claims[1].lease, 60)])
    [errand] = story.ours.settling.counts.due(now=True)
    [late] = errand.calls
    late.run()
    story.ours.count()
    counts = "successful_job_count", contract.RETRIED_FIELD, "total_working_time"
    assert story.redis.hmget("rq:worker:ours", *counts) == [b"1", b"1", b"2.000000"]
    story.settle([sent(claims[2].lease)._replace(seconds=1.0)])
    story.ours.count()
    # One that a paused server carries out only now changes nothing.
    late.run()
    assert story.redis.hmget("rq:worker:ours", *counts) == [b"2", b"1", b"3.000000"]


@pytest.mark.parametrize("indexes", [False, True])
def test_which_mail_a_message_id_is_stands_in_redis_only_where_that_was_asked_for(
    story: Story, indexes: bool
) -> None:
    if indexes:
        story.ours.settling.index_messages()
    story.enqueue("j1")
    story.enqueue("j2")
    one, two = story.claim().lease, story.claim().lease
    settled = [
        sent(one)._replace(outcome=Sent(200, message_id="m-1")),
        sent(two)._replace(outcome=Sent(200)),
    ]
    assert story.settle(settled) == ["done", "done"]
    assert story.redis.get(KEYS.message("m-1")) == (b"j1" if indexes else None)
    assert len(story.redis.keys(KEYS.message("*"))) == int(indexes)
    if indexes:
        assert 0 < story.redis.ttl(KEYS.message("m-1")) <= contract.FEEDBACK_TTL


def test_an_index_that_is_refused_keeps_no_outcome_from_being_written(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    story.ours.settling.index_messages()
    story.enqueue()
    lease = story.claim().lease
    story.ours._scripts["index"] = story.redis.register_script("return redis.error_reply('OOM full')")
    assert story.settle([sent(lease)._replace(outcome=Sent(200, message_id="m-1"))]) == ["done"]
    assert story.places() == ["finished"]
    assert "events without tags won't find them" in caplog.text
