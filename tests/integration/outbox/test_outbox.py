from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.registry import ScheduledJobRegistry

from rq_ses import IdempotencyConflict, Outbox, OutboxUnavailable, Receipt, Submission, contract
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.task import Task, read_job
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status
from support.servers.proxy import LossyProxy
from support.servers.valkey import url, valkey
from support.waiting import wait_for


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis, enqueue_timeout=30)  # the machine may be busy with other tests


def queued(redis: Redis) -> list[str]:
    return Queue("mail", connection=redis).get_job_ids()


def test_a_message_is_enqueued_as_rq_reads_it(redis: Redis, outbox: Outbox) -> None:
    message = mail(subject="Hi <b>there</b>\N{SNOWMAN}")
    receipt = outbox.send(message)
    assert not receipt.duplicate
    assert queued(redis) == [receipt.job_id]
    job = fetch(redis, receipt.job_id)
    assert job.get_status() == JobStatus.QUEUED
    assert (job.func_name, job.origin, job.timeout) == (contract.JOB_FUNCTION, "mail", contract.JOB_TIMEOUT)
    assert (job.result_ttl, job.failure_ttl) == (86_400, 31_536_000)
    assert job.description == "anna@example.com → Hi ‹b›there‹/b›☃"
    assert job.created_at <= job.enqueued_at
    assert [q.name for q in Queue.all(connection=redis)] == ["mail"]
    assert read_job(redis.hget(job.key, "data")) == Task(message)


def test_many_messages_keep_their_order_over_several_batches(redis: Redis, outbox: Outbox) -> None:
    receipts = outbox.send_many(mail(f"user{n}@example.com") for n in range(1203))
    assert [r.job_id for r in receipts] == queued(redis)
    assert len(set(queued(redis))) == 1203


def test_a_priority_has_a_queue_of_its_own_that_rq_reads(redis: Redis, outbox: Outbox) -> None:
    terms = [Submission(mail(), priority=priority) for priority in contract.PRIORITIES]
    receipts = outbox.send_many([*terms, Submission(mail(), priority="bulk", delay=60)])
    names = ["mail-high", "mail", "mail-bulk"]
    assert [Queue(name, connection=redis).get_job_ids() for name in names] == [
        [receipt.job_id] for receipt in receipts[:3]
    ]
    assert [fetch(redis, receipt.job_id).origin for receipt in receipts] == [*names, "mail-bulk"]
    assert ScheduledJobRegistry("mail-bulk", connection=redis).get_job_ids() == [receipts[3].job_id]
    assert {queue.name for queue in Queue.all(connection=redis)} == set(names)


def test_a_queue_that_got_no_mail_is_not_made_known(redis: Redis, outbox: Outbox) -> None:
    outbox.send(mail(), priority="bulk")
    assert [queue.name for queue in Queue.all(connection=redis)] == ["mail-bulk"]


def test_a_key_stands_for_one_mail_whatever_its_priority(redis: Redis, outbox: Outbox) -> None:
    first = outbox.send(mail(), key="a", priority="bulk")
    again = outbox.send(mail(), key="a", priority="high")
    assert (again.job_id, again.duplicate) == (first.job_id, True)
    assert Queue("mail-high", connection=redis).get_job_ids() == []


def test_a_priority_that_does_not_exist_is_refused_before_anything_is_enqueued(
    redis: Redis, outbox: Outbox
) -> None:
    with pytest.raises(ValueError, match="priority: 'urgent' can't be used: give one of high, normal, bulk"):
        outbox.send_many([mail(), Submission(mail(), priority="urgent")])  # type: ignore[arg-type]
    assert redis.keys("rq:job:*") == []


def test_the_number_of_recipients_stands_beside_the_mail_where_it_is_not_one(
    redis: Redis, outbox: Outbox
) -> None:
    one = outbox.send(mail("a@example.com"))
    three = outbox.send(mail("a@example.com", cc=["b@example.com"], bcc=["c@example.com"]))
    fields = [redis.hget(f"rq:job:{receipt.job_id}", contract.RECIPIENTS_FIELD) for receipt in (one, three)]
    assert fields == [None, b"3"]
    assert fetch(redis, three.job_id).description.startswith("a@example.com (+2)")


def test_large_messages_are_split_into_batches_of_bounded_size(redis: Redis, outbox: Outbox) -> None:
    import os

    from rq_ses import Attachment

    noise = Attachment(
        filename="x.bin", content_type="application/octet-stream", content=os.urandom(3_000_000)
    )
    receipts = outbox.send_many([mail(attachments=[noise]) for _ in range(4)])
    assert [r.job_id for r in receipts] == queued(redis)


def test_a_delayed_message_is_scheduled_by_the_servers_clock(redis: Redis, outbox: Outbox) -> None:
    seconds, micros = redis.time()
    job_id = outbox.send(mail(), delay=timedelta(seconds=60.5)).job_id
    score = redis.zscore(KEYS.registry("scheduled", "mail"), job_id)
    assert 60.5 <= score - (seconds + micros / 1e6) < 62
    assert fetch(redis, job_id).get_status() == JobStatus.SCHEDULED
    assert ScheduledJobRegistry("mail", connection=redis).get_job_ids() == [job_id]
    assert queued(redis) == []


def test_a_message_for_a_moment_keeps_its_fraction_of_a_second(redis: Redis, outbox: Outbox) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    job_id = outbox.send(mail(), at=at).job_id
    assert redis.zscore(KEYS.registry("scheduled", "mail"), job_id) == pytest.approx(at.timestamp(), abs=2e-6)


def test_an_expiry_goes_with_the_job(redis: Redis, outbox: Outbox) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    for expires, moment in (
        (at, at.timestamp()),
        (60, time.time() + 60),
        (timedelta(minutes=1), time.time() + 60),
    ):
        job_id = outbox.send(mail(), expires=expires).job_id
        task = read_job(redis.hget(KEYS.job(job_id), "data"))
        assert task.expires == pytest.approx(moment, abs=5)


def test_a_wish_for_doubt_goes_with_the_job(redis: Redis, outbox: Outbox) -> None:
    job_id = outbox.send(mail(), on_unknown="hold").job_id
    assert read_job(redis.hget(KEYS.job(job_id), "data")) == Task(mail(), on_unknown="hold")


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"at": datetime(2030, 1, 1)}, "at: 2030-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "give one of them"),
        ({"delay": -1}, "delay: -1 is out of range"),
        ({"delay": float("nan")}, "delay: nan is out of range"),
        ({"delay": 1e305}, "delay: 1e\\+305 is out of range: give 0 to 315360000 seconds"),
        ({"expires": float("inf")}, "expires: inf is out of range"),
        ({"key": "\ud800"}, "key: .* can't be used"),
        ({"expires": datetime(2020, 1, 1, tzinfo=UTC)}, "expires: 2020-01-01T00:00:00\\+00:00 is past"),
        ({"on_unknown": "maybe"}, "on_unknown: 'maybe' can't be used: give resend or hold"),
        ({"key": ""}, "key: '' can't be used"),
        ({"key": "x" * 513}, "key: .* can't be used"),
    ],
)
def test_unusable_terms_are_refused_before_anything_is_enqueued(
    redis: Redis, outbox: Outbox, terms: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        outbox.send(mail(), **terms)
    assert redis.keys("*") == []


def test_the_same_key_and_message_give_the_first_receipt_again(redis: Redis, outbox: Outbox) -> None:
    first = outbox.send(mail(), key="k")
    assert first == Receipt(first.job_id, duplicate=False)
    assert outbox.send(mail(), key="k") == Receipt(first.job_id, duplicate=True)
    assert outbox.send(mail(), key="k", delay=60) == Receipt(first.job_id, duplicate=True)
    assert queued(redis) == [first.job_id]
    assert outbox.send(mail(), key="k2").job_id != first.job_id


def test_a_key_stands_while_its_mail_is_failed_and_after_it_was_sent(redis: Redis, outbox: Outbox) -> None:
    lifecycle = Lifecycle(redis, ["mail"], "w", "eeeeeeee", 30.0)
    first = outbox.send(mail(), key="k")
    [claim], _ = lifecycle.claim(1)
    lifecycle.settle([Settlement(claim.lease, "failed", datetime.now(UTC), {}, failed_fields("no"))], clock=0)
    assert outbox.send(mail(), key="k") == Receipt(first.job_id, duplicate=True)
    fetch(redis, first.job_id).requeue()
    [claim], _ = lifecycle.claim(1)
    lifecycle.settle([Settlement(claim.lease, "sent", datetime.now(UTC), {}, sent_fields({}))], clock=0)
    assert status(redis, first.job_id) == "finished"
    assert outbox.send(mail(), key="k") == Receipt(first.job_id, duplicate=True)
    with pytest.raises(IdempotencyConflict):
        outbox.send(mail(subject="Other"), key="k")
    assert queued(redis) == []


def test_a_key_is_remembered_for_a_day_even_if_receipts_are_not_kept(redis: Redis) -> None:
    outbox = Outbox(redis, result_ttl=0)
    lifecycle = Lifecycle(redis, ["mail"], "w", "eeeeeeee", 30.0)
    keyed, plain = outbox.send(mail(), key="k"), outbox.send(mail())
    claims, _ = lifecycle.claim(2)
    sent = [Settlement(c.lease, "sent", datetime.now(UTC), {}, sent_fields({})) for c in claims]
    lifecycle.settle(sent, clock=0)
    assert redis.ttl(KEYS.job(plain.job_id)) == pytest.approx(62, abs=5)
    assert redis.ttl(KEYS.job(keyed.job_id)) > 86_390
    assert outbox.send(mail(), key="k").duplicate


def test_the_same_key_with_another_message_is_a_conflict(redis: Redis, outbox: Outbox) -> None:
    first = outbox.send(mail(), key="k")
    with pytest.raises(IdempotencyConflict) as caught:
        outbox.send(mail(subject="Other"), key="k")
    assert (caught.value.key, caught.value.job_id) == ("k", first.job_id)
    assert queued(redis) == [first.job_id]


def test_a_conflict_refuses_its_whole_batch(redis: Redis, outbox: Outbox) -> None:
    first = outbox.send(mail(), key="k")
    batch = [mail("a@example.com"), Submission(mail(subject="Other"), "k"), mail("b@example.com")]
    with pytest.raises(IdempotencyConflict):
        outbox.send_many(batch)
    twice = [Submission(mail(), "new"), Submission(mail(subject="Other"), "new")]
    with pytest.raises(IdempotencyConflict):
        outbox.send_many(twice)
    assert queued(redis) == [first.job_id]


def test_what_can_be_enqueued_is_and_the_rest_says_why(redis: Redis, outbox: Outbox) -> None:
    outbox.send(mail(), key="k")
    results = outbox.try_send_many(
        [
            Submission(mail(subject="Other"), "k"),
            mail("a@example.com"),
            Submission(mail(), delay=-1),
            Submission(mail(), "k"),
            Submission(mail("b@example.com"), "b"),
        ]
    )
    assert [type(r) for r in results] == [IdempotencyConflict, Receipt, ValueError, Receipt, Receipt]
    assert [getattr(r, "duplicate", None) for r in results] == [None, False, None, True, False]
    assert queued(redis)[1:] == [results[1].job_id, results[4].job_id]


def test_many_threads_with_one_key_enqueue_once(redis: Redis, outbox: Outbox) -> None:
    receipts: list[Receipt] = []
    threads = [
        threading.Thread(target=lambda: receipts.append(outbox.send(mail(), key="k"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({r.job_id for r in receipts}) == 1
    assert sorted(r.duplicate for r in receipts) == [False] + [True] * 15
    assert len(queued(redis)) == 1


@pytest.mark.parametrize("key", [None, "k"])
def test_a_reply_lost_on_the_wire_enqueues_nothing_twice(
    redis: Redis, redis_url: str, key: str | None
) -> None:
    outbox = Outbox(redis)
    outbox.send(mail("first@example.com"))  # the script is known to the server
    with LossyProxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        lossy = Outbox(f"redis://127.0.0.1:{proxy.port}/0")
        lossy.server_time()  # it is connected
        proxy.lose_replies(True)
        receipts: list[Receipt] = []
        sending = threading.Thread(target=lambda: receipts.append(lossy.send(mail(), key=key)))
        sending.start()
        wait_for(lambda: len(queued(redis)) == 2)
        wait_for(lambda: proxy.lost >= 1)
        proxy.lose_replies(False)
        sending.join()
    assert receipts == [Receipt(queued(redis)[1], duplicate=False)]
    assert len(queued(redis)) == 2


def test_redis_away_is_waited_for_and_the_mail_enqueued_once(tmp_path: Path) -> None:
    with valkey(tmp_path) as server:
        redis_url, port = url(server), server.port
    receipts: list[Receipt] = []
    outbox = Outbox(redis_url, enqueue_timeout=20)
    sending = threading.Thread(target=lambda: receipts.append(outbox.send(mail())))
    sending.start()
    with valkey(tmp_path, port=port) as server, Redis.from_url(url(server)) as redis:
        sending.join()
        assert queued(redis) == [receipts[0].job_id]


def test_redis_away_for_too_long_is_an_error_that_names_the_jobs() -> None:
    outbox = Outbox("redis://:hunter2@127.0.0.1:1/0", enqueue_timeout=0.2)
    with pytest.raises(OutboxUnavailable) as caught:
        outbox.send_many([mail(), mail()])
    assert len(caught.value.job_ids) == 2
    assert "Redis did not take 2 messages within" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_refuses_to_write_is_an_error_at_once(redis: Redis, outbox: Outbox) -> None:
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutboxUnavailable, match="maxmemory"):
            outbox.send(mail())
    finally:
        redis.config_set("maxmemory", 0)
    assert queued(redis) == []


def test_a_server_that_hangs_is_given_up_within_the_time_out(tmp_path: Path) -> None:
    with valkey(tmp_path) as server:
        outbox = Outbox(url(server), enqueue_timeout=0.5)
        outbox.send(mail())
        server._process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(OutboxUnavailable) as caught:
                outbox.send(mail())
        finally:
            server._process.send_signal(signal.SIGCONT)
    assert caught.value.waited < 3


def test_an_outbox_needs_exactly_one_server() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Outbox()


def test_an_idle_worker_is_woken_once_when_an_empty_queue_gets_mails(redis: Redis, outbox: Outbox) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(KEYS.wake("mail"))
        wait_for(lambda: redis.pubsub_numsub(KEYS.wake("mail"))[0][1])
        outbox.send(mail())
        outbox.send(mail())
        redis.publish(KEYS.wake("mail"), "end")
        heard = []
        wait_for(lambda: ((m := listener.get_message()) and heard.append(m["data"])) or b"end" in heard)
    assert heard == [b"", b"end"]
