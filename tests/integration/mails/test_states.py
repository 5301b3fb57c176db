"""Every state RQ gives a job: what its key answers, and what audit says.

The table in docs/concepts.md says the same in words.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rq import Queue
from rq.job import JobStatus
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import IdempotencyConflict, Receipt, Submission, contract
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from support.mails.keyed import JOB, JOB_ID, LIST, Keyed, registry
from support.mails.mail import fetch, mail, status


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


def test_a_queue_of_rq_reads_what_a_freed_key_has_left(keyed: Keyed) -> None:
    keyed.send()
    fetch(keyed.redis, JOB_ID).cancel()
    keyed.send("Another")
    queue = Queue("mail", connection=keyed.redis, serializer=JSONSerializer)
    [job] = queue.get_jobs()
    assert (job.id, job.get_status(), job.get_meta()) == (JOB_ID, JobStatus.QUEUED, {})
