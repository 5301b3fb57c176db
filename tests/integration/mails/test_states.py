"""Every state RQ gives a job: what its key answers, what audit says, and what keeps it alive.

The table in docs/concepts.md says the same in words.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

import rq_ses
import rq_ses_worker
from rq_ses import IdempotencyConflict, Outbox, Receipt, Submission, contract
from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.sweep import Sweep
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.mail import fetch, mail, status

JOB_ID = contract.keyed_job_id("mail", "k")
JOB = contract.JOB_PREFIX + JOB_ID
LIST = contract.queue_key("mail")


def registry(kind: str) -> str:
    return contract.registry_key(kind, "mail")


class Keyed:
    """One mail with a key, and what may become of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.outbox = Outbox(redis)
        self.worker = Lifecycle(redis, ["mail"], "w", "e" * 16, 30.0)

    def send(self, subject: str = "Hi", **options: Any) -> Receipt:
        return self.outbox.send(mail(subject=subject), key="k", **options)

    def settle(self, action: Any, fields: dict[str, Any]) -> str:
        [claim], _ = self.worker.claim(1)
        now = datetime.now(UTC)
        [word] = self.worker.settle(
            [Settlement(claim.lease, action, now, {"attempts": 1}, fields, time.monotonic())],
            clock=time.monotonic(),
        )
        return word

    def fail(self) -> None:
        self.settle("failed", failed_fields("MessageRejected: no"))

    def audit(self, *, repair: bool = False) -> list[Report]:
        return list(Audit(self.redis, "mail", RetryPolicy(), wait=0).run(repair=repair))

    def sweep(self) -> int:
        return Sweep(self.redis, "mail").run()

    def expires(self) -> bool:
        return self.redis.ttl(JOB) >= 0

    def is_taken_care_of(self) -> None:
        """The key answers with the first mail, and stands for that alone."""
        before = (self.redis.hgetall(JOB), self.redis.lrange(LIST, 0, -1))
        assert self.send() == Receipt(JOB_ID, duplicate=True)
        with pytest.raises(IdempotencyConflict):
            self.send("Another")
        assert (self.redis.hgetall(JOB), self.redis.lrange(LIST, 0, -1)) == before

    def is_free(self, subject: str = "Another") -> None:
        """The key takes another mail, which is sent; nothing is left of the first."""
        assert self.send(subject) == Receipt(JOB_ID)
        assert self.audit() == []
        assert self.redis.zscore(registry("canceled"), JOB_ID) is None
        assert self.settle("sent", sent_fields({"message_id": "second"})) == "done"
        assert fetch(self.redis, JOB_ID).return_value() == {"message_id": "second"}
        assert len(fetch(self.redis, JOB_ID).results()) == 1


@pytest.fixture
def keyed(redis: Redis) -> Keyed:
    return Keyed(redis)


def test_a_queued_mail(keyed: Keyed) -> None:
    keyed.send()
    keyed.is_taken_care_of()
    assert keyed.audit() == []
    assert not keyed.expires()


def test_a_scheduled_mail(keyed: Keyed) -> None:
    keyed.send(delay=3600)
    keyed.is_taken_care_of()
    assert keyed.audit() == []
    assert not keyed.expires()


def test_a_started_mail(keyed: Keyed) -> None:
    keyed.send()
    keyed.worker.claim(1)
    keyed.is_taken_care_of()
    assert keyed.audit() == []
    assert not keyed.expires()


def test_a_finished_mail(keyed: Keyed) -> None:
    keyed.send()
    keyed.settle("sent", sent_fields({"message_id": "m"}))
    keyed.is_taken_care_of()
    assert keyed.audit() == []
    assert keyed.redis.ttl(JOB) > 86_000
    keyed.redis.delete(JOB, f"rq:results:{JOB_ID}")
    keyed.redis.zadd(registry("finished"), {JOB_ID: 1.0})
    keyed.sweep()
    keyed.is_free()


def test_a_failed_mail(keyed: Keyed) -> None:
    keyed.send()
    keyed.fail()
    keyed.is_taken_care_of()
    assert keyed.audit() == []
    assert keyed.redis.ttl(JOB) > 31_000_000


def test_a_failed_mail_in_no_registry_is_entered_again_by_its_key_or_by_audit(keyed: Keyed) -> None:
    keyed.send()
    keyed.fail()
    for mend in (keyed.send, lambda: keyed.audit(repair=True)):
        score = keyed.redis.zscore(registry("failed"), JOB_ID)
        keyed.redis.zrem(registry("failed"), JOB_ID)
        mend()
        assert keyed.redis.zscore(registry("failed"), JOB_ID) == pytest.approx(score, abs=2)
    assert status(keyed.redis, JOB_ID) == "failed"


def test_a_deferred_mail(keyed: Keyed) -> None:
    keyed.send()
    keyed.redis.delete(LIST)
    job = fetch(keyed.redis, JOB_ID)
    job.set_status(JobStatus.DEFERRED)
    DeferredJobRegistry("mail", connection=keyed.redis).add(job)
    keyed.is_taken_care_of()
    assert keyed.audit() == []


@pytest.mark.parametrize("delay", [None, 3600])
def test_a_canceled_mail_frees_its_key_and_is_kept_for_a_day(keyed: Keyed, delay: float | None) -> None:
    keyed.send(delay=delay)
    fetch(keyed.redis, JOB_ID).cancel()
    assert keyed.audit() == []
    assert not keyed.expires()
    keyed.sweep()
    assert 86_000 < keyed.redis.ttl(JOB) <= contract.CANCELED_TTL
    assert keyed.audit() == []
    keyed.is_free()


def test_a_canceled_mail_may_be_sent_again_for_later(keyed: Keyed) -> None:
    keyed.send()
    fetch(keyed.redis, JOB_ID).cancel()
    assert keyed.send(delay=3600) == Receipt(JOB_ID)
    assert status(keyed.redis, JOB_ID) == "scheduled"
    assert keyed.audit() == []


def test_the_entry_of_a_canceled_mail_goes_with_it(keyed: Keyed) -> None:
    keyed.send()
    fetch(keyed.redis, JOB_ID).cancel()
    keyed.sweep()
    keyed.redis.delete(JOB)
    keyed.sweep()
    assert keyed.redis.zcard(registry("canceled")) == 0


def test_a_canceled_mail_of_a_batch_is_enqueued_once(keyed: Keyed) -> None:
    keyed.send()
    fetch(keyed.redis, JOB_ID).cancel()
    receipts = keyed.outbox.send_many([Submission(mail(), "k"), mail(), Submission(mail(), "k")])
    assert [receipt.duplicate for receipt in receipts] == [False, False, True]
    assert keyed.redis.llen(LIST) == 2


def test_a_mail_that_is_canceled_while_it_is_sent_keeps_its_key_until_the_attempt_has_ended(
    keyed: Keyed,
) -> None:
    keyed.send()
    [claim], _ = keyed.worker.claim(1)
    fetch(keyed.redis, JOB_ID).cancel()
    keyed.is_taken_care_of()
    refused = Settlement(claim.lease, "failed", datetime.now(UTC), {}, failed_fields("no"))
    assert keyed.worker.settle([refused], clock=0) == ["canceled"]
    keyed.is_free()


def test_a_mail_that_is_canceled_while_it_is_sent_and_accepted_is_not_sent_again(keyed: Keyed) -> None:
    keyed.send()
    [claim], _ = keyed.worker.claim(1)
    fetch(keyed.redis, JOB_ID).cancel()
    sent = Settlement(
        claim.lease, "sent", datetime.now(UTC), {"attempts": 1}, sent_fields({"message_id": "m"})
    )
    assert keyed.worker.settle([sent], clock=0) == ["accepted"]
    keyed.is_taken_care_of()
    assert status(keyed.redis, JOB_ID) == "finished"
    assert keyed.audit() == []


def test_a_stopped_mail_frees_its_key(keyed: Keyed) -> None:
    keyed.send()
    keyed.fail()
    keyed.redis.hset(JOB, "status", "stopped")
    assert keyed.audit() == []
    assert keyed.expires()
    keyed.is_free()
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is None


def test_a_queued_mail_in_no_list_is_enqueued_by_the_next_call_or_by_audit(keyed: Keyed) -> None:
    keyed.send()
    for mend in (keyed.send, lambda: keyed.audit(repair=True)):
        keyed.redis.delete(LIST)
        assert [report.found for report in keyed.audit()] == ["queued, but stands in no list"]
        mend()
        assert keyed.redis.lrange(LIST, 0, -1) == [JOB_ID.encode()]
        assert keyed.audit() == []


def test_a_queued_mail_in_no_list_is_not_said_to_be_there_already(keyed: Keyed) -> None:
    keyed.send()
    keyed.redis.delete(LIST)
    with pytest.raises(IdempotencyConflict):
        keyed.send("Another")
    assert keyed.send() == Receipt(JOB_ID, duplicate=False)
    assert keyed.send() == Receipt(JOB_ID, duplicate=True)


@pytest.mark.parametrize("delay", [None, 3600])
def test_a_scheduled_mail_in_no_registry_goes_by_the_terms_of_the_next_call(
    keyed: Keyed, delay: float | None
) -> None:
    keyed.send(delay=60)
    keyed.redis.delete(registry("scheduled"))
    assert keyed.send(delay=delay) == Receipt(JOB_ID)
    assert status(keyed.redis, JOB_ID) == ("queued" if delay is None else "scheduled")
    assert keyed.audit() == []


def test_a_mail_in_the_hands_of_a_stock_worker_is_not_queued_a_second_time(keyed: Keyed) -> None:
    keyed.send()
    Queue.lmove(keyed.redis, LIST, None)
    assert keyed.send() == Receipt(JOB_ID, duplicate=True)
    assert keyed.redis.llen(LIST) == 0


def requeue_by_rq(keyed: Keyed) -> None:
    keyed.fail()
    fetch(keyed.redis, JOB_ID).requeue()


def schedule_with_a_ttl(keyed: Keyed) -> None:
    keyed.redis.expire(JOB, 1000)


@pytest.mark.parametrize(
    ("delay", "change", "found"),
    [(None, requeue_by_rq, "queued"), (3600, schedule_with_a_ttl, "scheduled")],
)
@pytest.mark.parametrize("mend", ["key", "sweep", "audit"])
def test_a_mail_that_is_to_be_sent_and_has_a_time_to_live_loses_it(
    keyed: Keyed, delay: float | None, change: Callable[[Keyed], None], found: str, mend: str
) -> None:
    keyed.send(delay=delay)
    change(keyed)
    seconds = keyed.redis.ttl(JOB)
    assert seconds > 0
    [report] = keyed.audit()
    assert report.done == ""
    assert report.found.startswith(f"{found}, but would expire in {str(seconds)[:3]}")
    if mend == "key":
        assert keyed.send() == Receipt(JOB_ID, duplicate=True)
    elif mend == "sweep":
        assert keyed.sweep() == 1
    else:
        assert [report.done for report in keyed.audit(repair=True)] == ["it no longer expires"]
    assert not keyed.expires()
    assert keyed.audit() == []


def test_a_sweep_looks_at_every_entry_of_a_long_queue_and_takes_nothing_else_off(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses_worker.lifecycle.sweep.CHUNK", 7)
    outbox = Outbox(redis)
    ids = [receipt.job_id for receipt in outbox.send_many([mail() for _ in range(40)])]
    later = [outbox.send(mail(), delay=60 + n).job_id for n in range(20)]
    worker = Lifecycle(redis, ["mail"], "w", "e" * 16, 30.0)
    claims, _ = worker.claim(2)
    worker.settle([Settlement(claims[0].lease, "sent", datetime.now(UTC), {}, sent_fields({}))], clock=0)
    for job_id in (*ids[1:], *later):
        redis.expire(contract.JOB_PREFIX + job_id, 1000)
    assert Sweep(redis, "mail").run() == 38 + 20
    assert [redis.ttl(contract.JOB_PREFIX + job_id) for job_id in (*ids[2:], *later)] == [-1] * 58
    assert redis.ttl(contract.JOB_PREFIX + ids[0]) > 0


def test_of_a_long_queue_each_sweep_looks_at_the_end_and_at_another_part(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses_worker.lifecycle.sweep.CHUNK", 5)
    monkeypatch.setattr("rq_ses_worker.lifecycle.sweep.SLICE", 10)
    ids = [receipt.job_id for receipt in Outbox(redis).send_many([mail() for _ in range(45)])]
    for job_id in ids:
        redis.expire(contract.JOB_PREFIX + job_id, 1000)
    sweep, kept = Sweep(redis, "mail"), []
    for minute in range(4):
        monkeypatch.setattr(redis, "time", lambda: (60 * minute, 0))  # noqa: B023
        kept.append(sweep.run())
        assert redis.ttl(contract.JOB_PREFIX + ids[-1]) == -1
    assert kept == [20, 10, 10, 5]


def test_only_the_servers_clock_ends_a_record(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's host may be years ahead."""
    keyed.send()
    keyed.fail()
    canceled = keyed.outbox.send(mail()).job_id
    fetch(keyed.redis, canceled).cancel()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr("rq.registry.current_timestamp", lambda: 4_000_000_000)
    keyed.sweep()
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is not None
    assert keyed.redis.zscore(registry("canceled"), canceled) < 4e9
    keyed.redis.zadd(registry("failed"), {"gone": 1.0, JOB_ID: 1.0})
    keyed.sweep()
    # An entry goes with its job, and stays as long as that is there.
    assert keyed.redis.zscore(registry("failed"), "gone") is None
    left = keyed.redis.ttl(JOB)
    assert keyed.redis.zscore(registry("failed"), JOB_ID) == pytest.approx(
        keyed.redis.time()[0] + left - contract.FAILED_GRACE, abs=5
    )
    assert keyed.audit() == []


def test_a_mail_requeued_at_its_very_end_waits_in_the_queue_for_long_enough(redis: Redis) -> None:
    keyed = Keyed(redis)
    keyed.outbox = Outbox(redis, failure_ttl=1)  # as long as the call may take, and a minute
    keyed.send()
    keyed.fail()
    end = redis.zscore(registry("failed"), JOB_ID)
    assert end is not None
    assert end - redis.time()[0] == pytest.approx(62, abs=5)
    assert redis.ttl(JOB) == pytest.approx(62 + contract.FAILED_GRACE, abs=5)
    fetch(redis, JOB_ID).requeue()
    assert redis.ttl(JOB) > contract.FAILED_GRACE  # RQ leaves it, and nobody may come by for a while
    assert "would expire" in keyed.audit(repair=True)[0].found
    assert redis.ttl(JOB) == -1


def test_a_failed_mail_whose_time_is_over_is_none_any_more(keyed: Keyed) -> None:
    keyed.send()
    keyed.fail()
    keyed.redis.zadd(registry("failed"), {JOB_ID: keyed.redis.time()[0] - 1})
    keyed.redis.expire(JOB, contract.FAILED_GRACE - 1)
    keyed.sweep()
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is None
    assert keyed.audit(repair=True) == []
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is None
    keyed.is_free()


@pytest.mark.parametrize("script", ["settle", "sweep", "audit", "restore", "enqueue"])
def test_every_script_gives_a_failed_mail_the_same_grace(script: str) -> None:
    [path] = [p for root in (rq_ses, rq_ses_worker) for p in Path(root.__path__[0]).rglob(f"{script}.lua")]
    assert f"local GRACE = {contract.FAILED_GRACE} --" in path.read_text()


def test_one_worker_at_a_time_sweeps(redis: Redis) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    first, second = (Sweeper(redis, ["mail"], threading.Event()) for _ in range(2))
    first.sweep()
    redis.expire(contract.JOB_PREFIX + job_id, 1000)
    second.sweep()
    assert redis.ttl(contract.JOB_PREFIX + job_id) > 0
    [lock] = redis.keys("rq:ses:sweep*")
    assert 0 < redis.pttl(lock) <= 60_000
    redis.delete(lock)
    second.sweep()
    assert redis.ttl(contract.JOB_PREFIX + job_id) == -1


def test_a_queue_of_rq_reads_what_a_freed_key_has_left(keyed: Keyed) -> None:
    keyed.send()
    fetch(keyed.redis, JOB_ID).cancel()
    keyed.send("Another")
    queue = Queue("mail", connection=keyed.redis, serializer=JSONSerializer)
    [job] = queue.get_jobs()
    assert (job.id, job.get_status(), job.get_meta()) == (JOB_ID, JobStatus.QUEUED, {})
