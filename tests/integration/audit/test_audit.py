"""Every way a job is known to stand wrong, made in Redis, found and mended; one in motion is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.audit import audit as audit_module
from rq_ses_worker.audit import scan as scan_module
from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.audits import LEASES, LIST, WIP, look, mended, places, settle
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status


def test_a_queue_in_order_has_nothing_to_report(redis: Redis, outbox: Outbox, lifecycle: Lifecycle) -> None:
    outbox.send_many(mail(f"user{n}@example.com") for n in range(50))
    outbox.send(mail(), delay=60)
    claims, _ = lifecycle.claim(4)
    now = datetime.now(UTC)
    settle(lifecycle, Settlement(claims[0].lease, "sent", now, {}, sent_fields({})))
    settle(lifecycle, Settlement(claims[1].lease, "failed", now, {}, failed_fields("No: no")))
    settle(lifecycle, Settlement(claims[2].lease, "retry", now, {"attempts": 1}, {"delay": 60}))
    fetch(redis, outbox.send(mail()).job_id).cancel()
    assert look(redis) == []
    assert look(redis, repair=True) == []


# Other ways to stand wrong


def test_a_started_job_without_a_place_is_in_doubt(redis: Redis, job_id: str, lifecycle: Lifecycle) -> None:
    lifecycle.claim(1)
    redis.delete(WIP, LEASES)
    redis.hset("rq:worker:dead-worker", "birth", "now")
    [report] = look(redis, repair=True)
    assert report == Report(job_id, "started, but stands nowhere; its worker dead-worker lives", "")
    redis.delete("rq:worker:dead-worker")
    assert mended(redis).found == "started, but stands nowhere"
    assert places(redis, job_id) == ["queue"]


def test_a_started_entry_of_ours_without_a_lease_is_in_doubt_once_its_worker_is_dead(
    redis: Redis, job_id: str, lifecycle: Lifecycle
) -> None:
    lifecycle.claim(1)
    redis.delete(LEASES)
    redis.hset("rq:worker:dead-worker", "birth", "now")
    [report] = look(redis, repair=True)
    assert report == Report(job_id, "started without a lease; its worker dead-worker lives", "")
    redis.delete("rq:worker:dead-worker")
    assert "its worker is dead" in mended(redis).found
    assert places(redis, job_id) == ["queue"]
    assert redis.keys("rq:execution*") == []


def test_a_job_that_is_being_sent_is_never_touched(redis: Redis, job_id: str, lifecycle: Lifecycle) -> None:
    lifecycle.claim(1)
    fetch(redis, job_id).cancel()
    before = redis.hgetall(KEYS.job(job_id))
    assert look(redis, repair=True) == []
    redis.delete(KEYS.job(job_id))
    assert look(redis, repair=True) == []
    redis.hset(KEYS.job(job_id), mapping=before)
    redis.hset(KEYS.job(job_id), "status", "queued")
    assert look(redis, repair=True) == []
    assert places(redis, job_id) == ["canceled", "leases"]


def test_a_job_for_later_whose_time_is_lost_is_failed_and_not_sent_early(
    redis: Redis, outbox: Outbox
) -> None:
    job_id = outbox.send(mail(), delay=3600).job_id
    redis.zrem(KEYS.registry("scheduled", "mail"), job_id)
    assert mended(redis).done.startswith("failed: ScheduleLost: ")
    assert places(redis, job_id) == ["failed"]
    assert fetch(redis, job_id).latest_result().exc_string.startswith("ScheduleLost: ")


def test_what_claim_or_promote_would_drop_is_set_right(redis: Redis, outbox: Outbox) -> None:
    queued, scheduled = outbox.send(mail()).job_id, outbox.send(mail(), delay=60).job_id
    score = redis.zscore(KEYS.registry("scheduled", "mail"), scheduled)
    redis.hset(KEYS.job(queued), "status", "scheduled")
    redis.hset(KEYS.job(scheduled), "status", "queued")
    assert {report.done for report in look(redis, repair=True)} == {"marked as queued", "marked as scheduled"}
    assert look(redis) == []
    assert (places(redis, queued), status(redis, queued)) == (["queue"], "queued")
    assert (places(redis, scheduled), status(redis, scheduled)) == (["scheduled"], "scheduled")
    assert redis.zscore(KEYS.registry("scheduled", "mail"), scheduled) == score


@pytest.mark.parametrize("kind", ["finished", "failed", "canceled"])
def test_a_settled_job_is_entered_in_its_registry_again_and_never_queued(
    redis: Redis, outbox: Outbox, job_id: str, lifecycle: Lifecycle, kind: str
) -> None:
    if kind == "canceled":
        fetch(redis, job_id).cancel()
    else:
        [claim], _ = lifecycle.claim(1)
        fields = sent_fields({}) if kind == "finished" else failed_fields("No: no")
        action: Any = "sent" if kind == "finished" else "failed"
        settle(lifecycle, Settlement(claim.lease, action, datetime.now(UTC), {}, fields))
    ttl = redis.ttl(KEYS.job(job_id))
    redis.zrem(KEYS.registry(kind, "mail"), job_id)
    assert mended(redis).done == f"entered in the {kind} registry"
    assert places(redis, job_id) == [kind]
    assert abs(redis.ttl(KEYS.job(job_id)) - ttl) <= 1
    redis.rpush(LIST, job_id)
    assert mended(redis).done == f"left in the {kind} registry alone"
    redis.hset(KEYS.job(job_id), "status", "queued")
    assert mended(redis).done == f"marked as {kind}"
    assert (places(redis, job_id), status(redis, job_id)) == ([kind], kind)


def test_entries_whose_jobs_are_gone_are_removed(redis: Redis, outbox: Outbox, lifecycle: Lifecycle) -> None:
    ids = [outbox.send(mail()).job_id for _ in range(6)]
    lifecycle.claim(1)
    for name, job_id in zip(("scheduled", "finished", "failed", "canceled"), ids[1:], strict=False):
        redis.lrem(LIST, 0, job_id)
        redis.zadd(KEYS.registry(name, "mail"), {job_id: time.time() + 600})
    redis.delete(*(KEYS.job(job_id) for job_id in ids))
    [lease] = redis.zrange(LEASES, 0, -1)
    redis.zadd(LEASES, {lease: 1.0})
    reports = look(redis, repair=True)
    assert {report.job_id for report in reports} == set(ids)
    assert {report.done for report in reports} == {"removed"}
    assert set(redis.keys("rq:*")) == {b"rq:queues", b"rq:ses:account:default:unknown"}


def test_entries_that_have_had_their_time_are_rqs_to_drop(redis: Redis) -> None:
    redis.zadd(KEYS.registry("finished", "mail"), {"old": time.time() - 1})
    assert look(redis) == []


def test_an_id_twice_in_the_list_and_in_the_scheduled_registry_is_left_once(
    redis: Redis, job_id: str
) -> None:
    redis.rpush(LIST, job_id)
    redis.zadd(KEYS.registry("scheduled", "mail"), {job_id: 1.0})
    assert mended(redis).done == "left in the queue alone"
    assert places(redis, job_id) == ["queue"]


def test_a_job_without_payload_or_status_is_failed_with_a_clear_line(redis: Redis, outbox: Outbox) -> None:
    empty, blank = outbox.send(mail()).job_id, outbox.send(mail()).job_id
    redis.hdel(KEYS.job(empty), "data")
    redis.hdel(KEYS.job(blank), "status")
    look(redis, repair=True)
    assert look(redis) == []
    assert fetch(redis, empty).latest_result().exc_string.startswith("PayloadLost: ")
    assert fetch(redis, blank).latest_result().exc_string.startswith("StatusLost: ")


def test_odd_ids_and_keys_of_other_types_do_not_stop_the_audit(redis: Redis, job_id: str) -> None:
    redis.rpush(LIST, b"\xff\xfe", "a:b", "text", "")
    redis.set(KEYS.job_prefix + "text", "not a hash")
    redis.zadd(WIP, {b"\xff:\xff": 1.0, "no-colon": 2.0})
    redis.hset(KEYS.job_prefix + "else", mapping={"origin": "another", "status": "queued"})
    redis.hset(KEYS.job_prefix + "else:dependents", "x", "y")
    redis.hset(KEYS.job_prefix + "nameless", mapping={"last_heartbeat": "x"})
    reports = look(redis, repair=True)
    assert {report.done for report in reports} == {"removed"}
    assert redis.lrange(LIST, 0, -1) == [job_id.encode()]
    assert look(redis) == []
    assert redis.exists(KEYS.job_prefix + "text")


def test_a_job_of_ours_without_an_origin_is_found_by_its_function(redis: Redis, job_id: str) -> None:
    redis.hdel(KEYS.job(job_id), "origin")
    redis.delete(LIST)
    assert mended(redis).done == "put back into the queue"
    assert fetch(redis, job_id).origin == "mail"


# Beside running workers


def test_a_job_that_moves_between_the_look_and_the_repair_is_left_alone(
    redis: Redis, job_id: str, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.delete(LIST)
    judged = audit_module.Audit._mend

    def meanwhile(self: Audit, *args: Any) -> str | None:
        redis.lpush(LIST, job_id)
        lifecycle.claim(1)
        return judged(self, *args)

    monkeypatch.setattr(audit_module.Audit, "_mend", meanwhile)
    assert look(redis, repair=True) == []
    assert places(redis, job_id) == ["wip", "leases"]


def test_a_job_that_is_only_in_motion_between_two_looks_is_not_reported(redis: Redis, job_id: str) -> None:
    redis.delete(LIST)
    audit = Audit(redis, "mail", RetryPolicy(), wait=0)
    look_once = audit._look

    def looking(ids: Any) -> Iterator[tuple[bytes, bytes]]:
        yield from list(look_once(ids))
        redis.delete(LIST)
        redis.rpush(LIST, job_id)

    audit._look = looking  # type: ignore[method-assign]
    assert list(audit.run()) == []


def test_an_audit_beside_busy_workers_finds_orphans_alone_and_doubles_nothing(
    redis: Redis, redis_url: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "LOOKS", 50)
    monkeypatch.setattr(scan_module, "BATCH", 50)
    orphans = {r.job_id for r in outbox.send_many([mail() for _ in range(120)])}
    redis.delete(LIST)
    outbox.send_many(mail() for _ in range(500))
    stop = threading.Event()
    sent: list[str] = []

    def work(number: int) -> None:
        lifecycle = Lifecycle(Redis.from_url(redis_url), ["mail"], f"w{number}", f"{number:016x}", 30.0)
        while not stop.is_set():
            claims, _ = lifecycle.claim(5)
            now = datetime.now(UTC)
            if claims:
                lifecycle.settle(
                    [Settlement(c.lease, "sent", now, {}, sent_fields({})) for c in claims[:4]], clock=0.0
                )
                lifecycle.settle(
                    [Settlement(c.lease, "retry", now, {}, {"delay": 0.01}) for c in claims[4:]], clock=0.0
                )
                sent.extend(c.lease.job_id for c in claims[:4])
            lifecycle.promote()

    def produce() -> None:
        own = Outbox(redis_url)
        while not stop.is_set():
            own.send_many(mail() for _ in range(20))

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    threads.append(threading.Thread(target=produce))
    for thread in threads:
        thread.start()
    try:
        reports = list(Audit(redis, "mail", RetryPolicy(), wait=0.2).run(repair=True))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {report.job_id for report in reports} == orphans
    assert {report.done for report in reports} == {"put back into the queue"}
    assert len(sent) == len(set(sent))
