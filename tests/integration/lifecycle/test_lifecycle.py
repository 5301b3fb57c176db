"""Each transition, read back through RQ's own classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import (
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from rq_ses import contract
from rq_ses_worker.lifecycle.records import (
    Claim,
    Lease,
    Settlement,
    Suspended,
    Word,
    failed_fields,
    sent_fields,
)
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.waiting import wait_for

GATE = contract.account_key("default", "unknown").encode()
PAYLOAD = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi", "text": "x"}


class Story:
    """A queue, two workers' lifecycles, and RQ's view of them."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.queue = Queue("mail", connection=redis, serializer=JSONSerializer)
        self.ours = Lifecycle(redis, ["mail"], "ours", "aaaaaaaa", 30.0)
        self.other = Lifecycle(redis, ["mail"], "other", "bbbbbbbb", 30.0)

    def enqueue(self, job_id: str = "j1", **options: Any) -> Job:
        return self.queue.enqueue(contract.JOB_FUNCTION, PAYLOAD, job_id=job_id, **options)

    def job(self, job_id: str = "j1") -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def claim(self, lifecycle: Lifecycle | None = None) -> Claim:
        claims, _ = (lifecycle or self.ours).claim(1)
        return claims[0]

    def places(self, job_id: str = "j1") -> list[str]:
        """Where the job stands, without RQ's clean-ups."""
        places = [name for name in ("scheduled", "finished", "failed", "canceled") if self._in(name, job_id)]
        wip = self.redis.zrange(contract.registry_key("wip", "mail"), 0, -1)
        places += ["wip" for member in wip if member.decode().startswith(f"{job_id}:")]
        return places + ["queue"] * self.redis.lrange(contract.queue_key("mail"), 0, -1).count(
            job_id.encode()
        )

    def _in(self, registry: str, job_id: str) -> bool:
        return self.redis.zscore(contract.registry_key(registry, "mail"), job_id) is not None

    def settle(self, settlements: Sequence[Settlement], lifecycle: Lifecycle | None = None) -> list[Word]:
        return (lifecycle or self.ours).settle(settlements, clock=time.monotonic())


@pytest.fixture
def story(redis: Redis) -> Story:
    return Story(redis)


def sent(lease: Lease, message_id: str = "m-1") -> Settlement:
    return Settlement(
        lease, "sent", datetime.now(UTC), {"attempts": 1}, sent_fields({"message_id": message_id})
    )


def failed(lease: Lease, line: str = "MessageRejected: no (HTTP 400)", **options: Any) -> Settlement:
    return Settlement(lease, "failed", datetime.now(UTC), {"attempts": 1}, failed_fields(line), **options)


def retry(lease: Lease, delay: float, **options: Any) -> Settlement:
    return Settlement(
        lease, "retry", datetime.now(UTC), {"attempts": 1}, {"delay": delay}, time.monotonic(), **options
    )


def back(lease: Lease, **options: Any) -> Settlement:
    return Settlement(lease, "back", datetime.now(UTC), {"attempts": 1}, {}, **options)


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
    [execution] = job.get_executions()
    assert (execution.id, execution.worker_name) == (claim.lease.execution, "ours")
    assert Execution.fetch(claim.lease.execution, "j1", story.redis).job_id == "j1"
    assert Job(id="j1", connection=story.redis).restore({b"data": claim.data}) is None


def test_jobs_are_claimed_in_order_and_no_more_than_wanted(story: Story) -> None:
    for name in ("j1", "j2", "j3"):
        story.enqueue(name)
    first, _ = story.ours.claim(2)
    second, _ = story.ours.claim(2)
    assert [c.lease.job_id for c in first] == ["j1", "j2"]
    assert [c.lease.job_id for c in second] == ["j3"]
    assert len({c.lease.execution for c in first + second}) == 3
    assert {c.lease.execution for c in first + second} == {lease.execution for lease in story.ours.held()}


def test_queues_are_claimed_from_in_their_order(redis: Redis) -> None:
    for name in ("low", "high"):
        Queue(name, connection=redis, serializer=JSONSerializer).enqueue(
            contract.JOB_FUNCTION, PAYLOAD, job_id=name
        )
    claims, _ = Lifecycle(redis, ["high", "low"], "w", "cccccccc", 30.0).claim(5)
    assert [(c.lease.queue, c.lease.job_id) for c in claims] == [(0, "high"), (1, "low")]


def test_a_canceled_a_doubled_and_a_vanished_job_are_dropped(story: Story) -> None:
    story.enqueue("gone").delete(remove_from_queue=False)
    story.redis.rpush(contract.queue_key("mail"), "gone")
    story.enqueue("twice")
    story.redis.rpush(contract.queue_key("mail"), "twice", "no:job", b"\xff\xfe")
    story.enqueue("stopped")
    story.redis.hset("rq:job:stopped", "status", "canceled")
    story.redis.set("rq:job:text", "not a hash")
    story.redis.rpush(contract.queue_key("mail"), "text")
    claims, dropped = story.ours.claim(10)
    assert [c.lease.job_id for c in claims] == ["twice"]
    assert dropped == 7


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
    assert story.redis.zcard(contract.leases_key("mail")) == 0


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


def test_a_retry_is_scheduled_from_the_end_of_the_attempt_and_promoted_no_earlier(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    ended = time.monotonic() - 0.2
    late = Settlement(claim.lease, "retry", datetime.now(UTC), {"attempts": 1}, {"delay": 0.5}, ended)
    assert story.settle([late]) == ["done"]
    job = story.job()
    assert job.get_status() == JobStatus.SCHEDULED
    assert job.worker_name is None
    assert ScheduledJobRegistry(queue=story.queue).get_job_ids() == ["j1"]
    moved, pause = story.ours.promote()
    assert moved == 0
    assert pause is not None
    assert 0.1 < pause < 0.3
    wait_for(lambda: story.ours.promote()[0])
    assert time.monotonic() - ended >= 0.5
    assert story.job().get_status() == JobStatus.QUEUED
    assert story.places() == ["queue"]
    assert not story.claim().fresh


def test_a_score_without_end_does_not_stop_promotion(story: Story) -> None:
    story.redis.zadd(contract.registry_key("scheduled", "mail"), {"never": "+inf"})
    moved, pause = story.ours.promote()
    assert (moved, pause) == (0, 1e9)


def test_promoted_retries_go_before_new_mails_and_late_ones_behind(story: Story) -> None:
    story.enqueue("retried")
    story.settle([retry(story.claim().lease, 0.0)])
    story.queue.enqueue_at(
        datetime(2020, 1, 1, tzinfo=UTC), contract.JOB_FUNCTION, PAYLOAD, job_id="for-later"
    )
    story.enqueue("new")
    assert story.ours.promote() == (2, None)
    claims, _ = story.ours.claim(3)
    assert [c.lease.job_id for c in claims] == ["retried", "new", "for-later"]


def test_a_scheduled_job_that_was_canceled_is_not_promoted(story: Story) -> None:
    story.enqueue()
    story.settle([retry(story.claim().lease, 0.0)])
    story.redis.hset("rq:job:j1", "status", "canceled")
    assert story.ours.promote() == (0, None)
    assert story.places() == []


def test_settling_twice_changes_nothing(story: Story) -> None:
    for name in ("j1", "j2", "j3"):
        story.enqueue(name)
    claims, _ = story.ours.claim(3)
    settlements = [sent(claims[0].lease), retry(claims[1].lease, 60), failed(claims[2].lease)]
    assert story.settle(settlements) == ["done", "done", "done"]
    before = {key: story.redis.dump(key) for key in story.redis.keys("rq:job:*")}
    assert story.settle(settlements) == ["lost", "lost", "lost"]
    assert {key: story.redis.dump(key) for key in story.redis.keys("rq:job:*")} == before
    assert [story.places(name) for name in ("j1", "j2", "j3")] == [["finished"], ["scheduled"], ["failed"]]


def test_an_overdue_execution_goes_back_to_the_front(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.05)
    story.enqueue("j1")
    story.enqueue("j2")
    claim = story.claim(dying)
    [found] = wait_for(story.ours.reclaim)
    assert (found.lease, found.worker) == (claim.lease, "dying")
    assert story.settle([back(found.lease, overdue=True)]) == ["done"]
    assert story.places("j1") == ["queue"]
    again = story.claim()
    assert (again.lease.job_id, again.fresh) == ("j1", False)
    assert story.job().get_executions()[0].id == again.lease.execution


def test_two_reclaimers_end_an_execution_once(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.05)
    story.enqueue()
    story.claim(dying)
    [found] = wait_for(story.ours.reclaim)
    assert story.settle([back(found.lease, overdue=True)]) == ["done"]
    assert story.settle([back(found.lease, overdue=True)], story.other) == ["lost"]
    assert story.places() == ["queue"]


def test_a_lease_that_was_renewed_in_between_is_not_reclaimed(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    assert Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 60.0).renew([claim.lease]) == [claim.lease]
    assert story.settle([back(found.lease, overdue=True)]) == ["lost"]
    assert story.places() == ["wip"]
    assert story.ours.reclaim() == []


@pytest.mark.parametrize("where", ["queued", "scheduled", "failed"])
def test_a_late_sent_wins_over_a_copy_that_nobody_has_started(story: Story, where: str) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    ending = {"queued": back, "failed": failed, "scheduled": lambda lease, **o: retry(lease, 60, **o)}[where]
    story.settle([ending(found.lease, overdue=True)])
    assert story.settle([sent(claim.lease)], slow) == ["late"]
    assert story.job().get_status() == JobStatus.FINISHED
    assert story.places() == ["finished"]


def test_a_late_outcome_is_not_written_over_what_another_has_started(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    story.settle([back(found.lease, overdue=True)])
    again = story.claim()
    for late in (sent(claim.lease), failed(claim.lease), retry(claim.lease, 1)):
        assert story.settle([late], slow) == ["lost"]
    assert story.job().get_status() == JobStatus.STARTED
    assert story.settle([sent(again.lease)]) == ["done"]


def test_a_late_retry_does_not_move_a_queued_copy(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    story.settle([back(found.lease, overdue=True)])
    assert story.settle([retry(claim.lease, 1)], slow) == ["lost"]
    assert story.places() == ["queue"]


def test_a_mail_canceled_while_it_is_sent_is_finished_if_ses_accepted_it(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    story.job().cancel()
    assert story.settle([sent(claim.lease)]) == ["accepted"]
    job = story.job()
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == {"message_id": "m-1"}
    assert job.get_meta()["note"] == "SES accepted it: it was canceled while it was being sent"
    assert story.places() == ["finished"]
    assert story.redis.zcard(contract.leases_key("mail")) == 0


def test_a_mail_canceled_while_it_is_sent_stays_canceled_if_ses_refused_it(story: Story) -> None:
    for ending in (failed, lambda lease: retry(lease, 1), back):
        story.enqueue()
        claim = story.claim()
        story.job().cancel()
        assert story.settle([ending(claim.lease)]) == ["canceled"]
        assert story.places() == ["canceled"]
        assert story.redis.zcard(contract.leases_key("mail")) == 0
        story.job().delete()


def test_a_mail_deleted_while_it_is_sent_leaves_nothing_behind(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    story.job().delete()
    assert story.settle([sent(claim.lease)]) == ["vanished"]
    assert set(story.redis.keys("*")) <= {b"rq:queues", GATE}


def test_a_broken_key_does_not_keep_its_batch_from_being_settled(story: Story) -> None:
    story.enqueue("j1")
    story.enqueue("j2")
    claims, _ = story.ours.claim(2)
    story.redis.set("rq:results:j1", "not a stream")
    assert story.settle([sent(c.lease) for c in claims]) == ["broken", "done"]
    assert story.places("j2") == ["finished"]


def test_rqs_own_clean_up_leaves_our_executions_to_reclaim(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.01)
    story.enqueue()
    story.claim(dying)
    wait_for(story.ours.reclaim)
    assert StartedJobRegistry(queue=story.queue).count == 1
    assert story.job().get_status() == JobStatus.STARTED


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


def test_the_workers_counters_grow_only_while_it_is_registered(story: Story) -> None:
    story.enqueue("j1")
    story.enqueue("j2")
    story.enqueue("j3")
    claims, _ = story.ours.claim(3)
    story.settle([sent(claims[0].lease)])
    assert not story.redis.exists("rq:worker:ours")
    story.redis.hset("rq:worker:ours", "birth", "x")
    story.settle([sent(claims[1].lease), failed(claims[2].lease)])
    assert story.redis.hmget("rq:worker:ours", "successful_job_count", "failed_job_count") == [b"1", b"1"]


def test_each_claim_and_each_promotion_tells_the_servers_time(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 9e9)
    for hear in (lambda: story.ours.claim(1), lambda: story.other.promote()):
        hear()
    seconds, microseconds = story.redis.time()
    for lifecycle in (story.ours, story.other):
        assert lifecycle.clock.now() == pytest.approx(seconds + microseconds / 1e6, abs=2)
