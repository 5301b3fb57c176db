"""Answers that come late or for a mail that is another by now, and keys that somebody has spoilt."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from rq.job import JobStatus

from rq_ses import Outbox, OutboxUnavailable
from rq_ses_worker.engine.attempt import unsent
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement, Word, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status

LEASES = KEYS.leases("mail")


class Two:
    """Two workers' lifecycles and an outbox on one queue."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.outbox = Outbox(redis)
        self.ours = Lifecycle(redis, ["mail"], "ours", "aaaaaaaa", 30.0)
        self.other = Lifecycle(redis, ["mail"], "other", "bbbbbbbb", 30.0)

    def claim(self, lifecycle: Lifecycle | None = None) -> Claim:
        [claim], _ = (lifecycle or self.ours).claim(1)
        return claim

    def settle(self, lease: Lease, action: Any, **options: Any) -> Word:
        fields: dict[str, Any] = {
            "sent": sent_fields({"message_id": "m"}),
            "retry": {"delay": 60.0},
            "failed": failed_fields("MessageRejected: no"),
            "back": {},
        }
        ending = Settlement(
            lease, action, datetime.now(UTC), {"attempts": 1}, fields[action], time.monotonic(), **options
        )
        [word] = self.ours.settle([ending], clock=time.monotonic())
        return word

    def run_out(self, lease: Lease) -> None:
        self.redis.zadd(LEASES, {f"{lease.job_id}:{lease.execution}": 1.0}, xx=True)


@pytest.fixture
def two(redis: Redis) -> Two:
    return Two(redis)


@pytest.mark.parametrize("action", ["sent", "retry", "failed"])
@pytest.mark.parametrize("claimed_again", [False, True])
def test_an_answer_for_a_deleted_mail_is_not_written_to_another_under_its_key(
    two: Two, action: str, claimed_again: bool
) -> None:
    job_id = two.outbox.send(mail(), key="k").job_id
    old = two.claim().lease
    fetch(two.redis, job_id).delete()
    assert two.outbox.send(mail(subject="Another"), key="k").job_id == job_id
    again = two.claim(two.other) if claimed_again else None
    assert two.settle(old, action) == "vanished"
    assert status(two.redis, job_id) == ("started" if again else "queued")
    again = again or two.claim(two.other)
    assert two.settle(again.lease, "sent") == "done"


def test_a_late_sent_is_not_written_to_another_mail_under_its_key(two: Two) -> None:
    job_id = two.outbox.send(mail(), key="k").job_id
    old = two.claim().lease
    two.run_out(old)
    assert two.settle(old, "back", overdue=True) == "done"
    fetch(two.redis, job_id).delete()
    two.outbox.send(mail(subject="Another"), key="k")
    assert two.settle(old, "sent") == "lost"
    assert status(two.redis, job_id) == "queued"


def test_a_late_sent_still_wins_for_a_mail_with_a_key(two: Two) -> None:
    job_id = two.outbox.send(mail(), key="k").job_id
    old = two.claim().lease
    two.run_out(old)
    assert two.settle(old, "back", overdue=True) == "done"
    assert two.settle(old, "sent") == "late"
    assert status(two.redis, job_id) == "finished"


def test_a_sent_whose_claim_the_server_has_forgotten_is_written(two: Two) -> None:
    job_id = two.outbox.send(mail()).job_id
    dump = two.redis.dump(f"rq:job:{job_id}")
    lease = two.claim().lease
    # What appendfsync everysec can lose: the second in which it was claimed.
    for key in (LEASES, "rq:wip:mail", *two.redis.keys("rq:execution*")):
        two.redis.delete(key)
    two.redis.restore(f"rq:job:{job_id}", 0, dump, replace=True)
    two.redis.lpush("rq:queue:mail", job_id)
    assert two.settle(lease, "sent") == "late"
    assert status(two.redis, job_id) == "finished"
    assert two.redis.llen("rq:queue:mail") == 0


def test_what_was_not_begun_goes_back_as_it_was(two: Two) -> None:
    job_id = two.outbox.send(mail()).job_id
    two.redis.hset(f"rq:job:{job_id}", "meta", '{"mine": 1}')
    for _ in range(2):
        claim = two.claim()
        assert claim.fresh
        assert two.ours.settle([unsent(claim.lease)], clock=0) == ["done"]
    two.settle(two.claim().lease, "retry")
    two.redis.zadd("rq:scheduled:mail", {job_id: 1.0})
    two.ours.promote()
    claim = two.claim()
    assert not claim.fresh
    assert two.ours.settle([unsent(claim.lease)], clock=0) == ["done"]
    assert not two.claim().fresh
    assert fetch(two.redis, job_id).get_meta() == {"attempts": 1}


def test_only_leases_that_stand_are_told_as_renewed(two: Two) -> None:
    two.outbox.send_many([mail(), mail(), mail()])
    claims, _ = two.ours.claim(3)
    first, second, third = [claim.lease for claim in claims]
    two.run_out(second)
    two.settle(second, "back", overdue=True)
    assert two.ours.renew([first, second, third]) == [first, third]


@pytest.mark.parametrize(
    "ttl", ["soon", "1.5", "-7", "nan", "inf", "1e300", "99999999999999999999", "0x10", ""]
)
def test_an_odd_ttl_neither_breaks_a_batch_nor_keeps_its_mail_from_being_settled(two: Two, ttl: str) -> None:
    odd, also_odd, good = [r.job_id for r in two.outbox.send_many([mail(), mail(), mail()])]
    for job_id in (odd, also_odd):
        two.redis.hset(f"rq:job:{job_id}", mapping={"result_ttl": ttl, "failure_ttl": ttl})
    claims, _ = two.ours.claim(3)
    assert two.settle(claims[0].lease, "sent") == "done"
    assert two.settle(claims[1].lease, "failed") == "done"
    assert two.settle(claims[2].lease, "sent") == "done"
    assert [status(two.redis, job_id) for job_id in (odd, also_odd, good)] == [
        "finished",
        "failed",
        "finished",
    ]


def test_an_index_of_executions_that_is_none_does_not_lose_its_job_in_the_claim(two: Two) -> None:
    job_id = two.outbox.send(mail()).job_id
    two.redis.set(f"rq:executions:{job_id}", "no sorted set")
    claim = two.claim()
    assert fetch(two.redis, job_id).get_status() == JobStatus.STARTED
    assert two.settle(claim.lease, "sent") == "done"


@pytest.mark.parametrize("key", ["rq:wip:mail", LEASES])
def test_a_claim_takes_nothing_while_its_registries_are_none(two: Two, key: str) -> None:
    two.outbox.send(mail())
    two.redis.set(key, "no sorted set")
    with pytest.raises(Exception, match="WRONGTYPE"):
        two.ours.claim(1)
    two.redis.delete(key)
    assert two.claim()


@pytest.mark.parametrize(
    ("action", "key"),
    [("retry", "rq:scheduled:mail"), ("failed", "rq:failed:mail"), ("back", "rq:queue:mail")],
)
def test_a_mail_that_has_no_place_to_go_to_keeps_its_lease(two: Two, action: str, key: str) -> None:
    job_id = two.outbox.send(mail()).job_id
    lease = two.claim().lease
    two.redis.set(key, "of another type")
    assert two.settle(lease, action) == "broken"
    assert status(two.redis, job_id) == "started"
    two.redis.delete(key)
    two.run_out(lease)
    assert [overdue.lease for overdue in two.other.reclaim()] == [lease]
    assert two.settle(lease, "back", overdue=True) == "done"


def test_what_is_no_lease_is_dropped_from_the_leases(two: Two) -> None:
    two.redis.zadd(LEASES, {b"\xff\xfe": 1.0, "": 1.0, "a:b:c": 1.0, "no-colon": 1.0, b"\xff:aaaaaaaa1": 9e9})
    assert two.ours.reclaim() == []
    assert two.redis.zcard(LEASES) == 1
    assert two.ours.held() == []


def test_an_enqueueing_that_would_break_off_halfway_writes_nothing(two: Two) -> None:
    two.redis.set("rq:scheduled:mail", "no sorted set")
    with pytest.raises(OutboxUnavailable):
        two.outbox.send(mail(), delay=5)
    assert two.redis.keys("rq:job:*") == []
    assert status(two.redis, two.outbox.send(mail()).job_id) == "queued"


def test_other_queues_are_promoted_beside_a_scheduled_registry_that_is_none(redis: Redis) -> None:
    redis.set("rq:scheduled:spoilt", "no sorted set")
    job_id = Outbox(redis, queue="mail").send(mail(), delay=0).job_id
    assert Lifecycle(redis, ["spoilt", "mail"], "w", "cccccccc", 30.0).promote() == (1, None)
    assert status(redis, job_id) == "queued"


@pytest.mark.parametrize("action", ["sent", "retry", "failed", "back"])
def test_who_may_have_lost_its_lease_leaves_a_mail_that_a_build_before_has_taken_over(
    two: Two, action: str
) -> None:
    job_id = two.outbox.send(mail()).job_id
    old = two.claim().lease
    # Such a build knows nothing of the field in which a job names its execution.
    two.redis.zrem(LEASES, old.member)
    two.redis.zadd(LEASES, {f"{job_id}:{'0' * 24}1": time.time() + 30})
    assert two.settle(old, action, lapsed=True) == "lost"
    assert status(two.redis, job_id) == "started"


@pytest.mark.parametrize("action", ["sent", "retry", "failed", "back"])
def test_a_lease_that_stands_after_all_is_settled(two: Two, action: str) -> None:
    two.outbox.send(mail())
    assert two.settle(two.claim().lease, action, lapsed=True) == "done"
