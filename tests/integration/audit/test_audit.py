"""Every way a job is known to get lost, made in Redis, found and mended; and jobs in motion, left alone."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import Outbox, contract
from rq_ses_worker.audit import audit as audit_module
from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.audit.command import audit as command
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import History, RetryPolicy, lost_worker
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.mail import fetch, mail, status
from support.programs.processes import environment
from support.programs.terminal import run_on_terminal

LIST, WIP, LEASES = (
    contract.queue_key("mail"),
    contract.registry_key("wip", "mail"),
    contract.leases_key("mail"),
)
INTERMEDIATE = f"{LIST}:intermediate"
PREFIX = "a" * 16


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis)


@pytest.fixture
def job_id(outbox: Outbox) -> str:
    return outbox.send(mail()).job_id


@pytest.fixture
def lifecycle(redis: Redis) -> Lifecycle:
    return Lifecycle(redis, ["mail"], "dead-worker", PREFIX, 30.0)


def look(redis: Redis, *, repair: bool = False, on_unknown: Any = "resend") -> list[Report]:
    return list(Audit(redis, "mail", RetryPolicy(on_unknown=on_unknown), wait=0).run(repair=repair))


def mended(redis: Redis, **options: Any) -> Report:
    """Find exactly one thing, mend it, and find nothing more."""
    [found] = look(redis)
    assert found.done == ""
    [report] = look(redis, repair=True, **options)
    assert report.done
    assert report.found == found.found
    assert look(redis) == []
    return report


def places(redis: Redis, job_id: str) -> list[str]:
    found = ["queue"] * redis.lrange(LIST, 0, -1).count(job_id.encode())
    found += ["intermediate"] * redis.lrange(INTERMEDIATE, 0, -1).count(job_id.encode())
    for name in ("scheduled", "finished", "failed", "canceled", "deferred"):
        if redis.zscore(contract.registry_key(name, "mail"), job_id) is not None:
            found.append(name)
    for name, key in (("wip", WIP), ("leases", LEASES)):
        found += [name for member in redis.zrange(key, 0, -1) if member.startswith(job_id.encode() + b":")]
    return found


def settle(lifecycle: Lifecycle, settlement: Settlement) -> None:
    assert lifecycle.settle([settlement], clock=time.monotonic()) == ["done"]


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


# What stock RQ loses


def stock_queue(redis: Redis) -> Queue:
    return Queue("mail", connection=redis, serializer=JSONSerializer)


def test_a_job_whose_stock_worker_died_after_taking_it_from_one_of_several_queues_goes_back(
    redis: Redis, job_id: str
) -> None:
    others = [Queue("other", connection=redis, serializer=JSONSerializer), stock_queue(redis)]
    assert Queue.dequeue_any(others, None, connection=redis, serializer=JSONSerializer)[0].id == job_id
    # RQ takes it by LPOP or BLPOP, and here its process dies.
    assert places(redis, job_id) == []
    report = mended(redis)
    assert report == Report(job_id, "queued, but stands in no list", "put back into the queue")
    assert places(redis, job_id) == ["queue"]
    assert fetch(redis, job_id).get_status() == JobStatus.QUEUED


def test_a_job_left_in_the_intermediate_list_goes_back_and_is_not_failed(redis: Redis, job_id: str) -> None:
    queue = stock_queue(redis)
    Queue.dequeue_any([queue], None, connection=redis, serializer=JSONSerializer)
    assert places(redis, job_id) == ["intermediate"]
    assert mended(redis).found == "left in RQ's intermediate list"
    assert places(redis, job_id) == ["queue"]


def test_a_job_in_the_intermediate_list_of_a_living_worker_has_a_minute(redis: Redis, job_id: str) -> None:
    redis.lmove(LIST, INTERMEDIATE)
    worker = SimpleWorker([stock_queue(redis)], connection=redis, serializer=JSONSerializer)
    worker.register_birth()
    assert look(redis) == []
    redis.hset(contract.JOB_PREFIX + job_id, "enqueued_at", "2026-01-01T00:00:00.000000Z")
    assert mended(redis).found == "left in RQ's intermediate list"


class Dead(BaseException):
    """The process was killed."""


class DyingWorker(SimpleWorker):
    """A stock worker that dies in the middle of scheduling a retry."""

    def handle_job_retry(self, job: Any, *_: Any) -> None:
        job.set_status(JobStatus.SCHEDULED)  # as RQ does, outside of the pipeline that comes next
        raise Dead


class ForgetfulWorker(SimpleWorker):
    """A stock worker whose EXEC is lost whenever it settles a failure."""

    def handle_job_failure(self, *args: Any, **kwargs: Any) -> None:
        connection, self.connection = self.connection, Losing(self.connection)
        try:
            super().handle_job_failure(*args, **kwargs)
        finally:
            self.connection = connection


class Losing:
    """A connection whose transactions are lost."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def pipeline(self) -> Any:
        pipeline = self._redis.pipeline()
        pipeline.execute = Mock(side_effect=ConnectionError("EXEC was lost"))
        return pipeline


def started_by_stock(redis: Redis, job_id: str) -> None:
    """Leave a job as a stock worker that is sending it has it, and let that worker be dead for long."""
    worker = SimpleWorker([stock_queue(redis)], connection=redis, serializer=JSONSerializer)
    worker.register_birth()
    job = Queue.dequeue_any([worker.queues[0]], None, connection=redis, serializer=JSONSerializer)[0]
    worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
    assert job.id == job_id
    assert places(redis, job_id) == ["wip"]


def stock_died(redis: Redis) -> None:
    for key in redis.keys("rq:worker:*"):
        redis.delete(key)
    for member in redis.zrange(WIP, 0, -1):
        redis.zadd(WIP, {member: time.time() - 1})


def test_a_retry_that_was_returned_and_lost_goes_back(redis: Redis, job_id: str) -> None:
    started_by_stock(redis, job_id)
    job = fetch(redis, job_id)
    with pytest.raises(Dead):
        DyingWorker([stock_queue(redis)], connection=redis).handle_job_retry(job, None, Retry(1), None, None)
    # Its worker lives, and may be about to schedule it.
    assert look(redis) == []
    stock_died(redis)
    StartedJobRegistry("mail", connection=redis, serializer=JSONSerializer).cleanup()
    assert places(redis, job_id) == []
    assert mended(redis) == Report(job_id, "scheduled, but stands in no registry", "put back into the queue")
    assert places(redis, job_id) == ["queue"]


def test_a_retry_of_an_exception_whose_exec_failed_goes_back(redis: Redis) -> None:
    """RQ sets the status outside of the transaction, which fails; it only logs that."""
    queue = stock_queue(redis)
    job = queue.enqueue("builtins.int", "no number", retry=Retry(3, interval=60))
    worker = ForgetfulWorker([queue], connection=redis, serializer=JSONSerializer)
    worker.work(burst=True)
    assert fetch(redis, job.id).get_status() == JobStatus.SCHEDULED
    assert ScheduledJobRegistry("mail", connection=redis).get_job_ids() == []
    stock_died(redis)
    assert mended(redis).done == "put back into the queue"
    assert places(redis, job.id) == ["queue"]


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_a_job_whose_stock_worker_died_while_sending_follows_on_unknown(
    redis: Redis, job_id: str, on_unknown: str
) -> None:
    started_by_stock(redis, job_id)
    assert look(redis) == []
    stock_died(redis)
    report = mended(redis, on_unknown=on_unknown)
    assert "its worker is dead" in report.found
    job = fetch(redis, job_id)
    assert job.get_meta()["last_outcome"]["code"] == "WorkerLost"
    if on_unknown == "resend":
        assert places(redis, job_id) == ["queue"]
        assert job.get_meta()["attempts"] == 1
    else:
        assert places(redis, job_id) == ["failed"]
        assert job.latest_result().exc_string.startswith("outcome unknown: WorkerLost: ")
        assert report.done.startswith("failed: outcome unknown: ")
        assert FailedJobRegistry("mail", connection=redis).get_job_ids() == [job_id]
        assert redis.ttl(job.key) > 31_000_000
        job.requeue()
        assert places(redis, job_id) == ["queue"]
    assert redis.keys("rq:execution*") == []


@pytest.mark.parametrize(("max_doubtful", "place"), [(2, "queue"), (1, "failed")])
def test_a_worker_ends_what_a_stock_worker_that_is_lost_began_and_counts_its_doubt_once(
    redis: Redis, job_id: str, max_doubtful: int, place: str
) -> None:
    started_by_stock(redis, job_id)
    lost = lost_worker("")
    noted = History().after(lost, time.time()).to_meta(lost)
    redis.hset(contract.JOB_PREFIX + job_id, "meta", json.dumps(noted))
    sweeper = Sweeper(redis, ["mail"], threading.Event(), policy=RetryPolicy(max_doubtful=max_doubtful))
    sweeper.sweep()
    assert places(redis, job_id) == ["wip"]
    stock_died(redis)
    redis.delete(*redis.keys("rq:ses:sweep*"))
    sweeper.sweep()
    assert places(redis, job_id) == [place]
    assert fetch(redis, job_id).get_meta()["ambiguous"] == 1
    assert look(redis) == []


def test_a_message_that_must_be_held_is_held_whatever_the_worker_would_do(redis: Redis) -> None:
    job = stock_queue(redis).enqueue(
        contract.JOB_FUNCTION, kwargs={"payload": mail().model_dump(mode="json"), "on_unknown": "hold"}
    )
    started_by_stock(redis, job.id)
    stock_died(redis)
    assert mended(redis, on_unknown="resend").done.startswith("failed: outcome unknown: ")


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
    before = redis.hgetall(contract.JOB_PREFIX + job_id)
    assert look(redis, repair=True) == []
    redis.delete(contract.JOB_PREFIX + job_id)
    assert look(redis, repair=True) == []
    redis.hset(contract.JOB_PREFIX + job_id, mapping=before)
    redis.hset(contract.JOB_PREFIX + job_id, "status", "queued")
    assert look(redis, repair=True) == []
    assert places(redis, job_id) == ["canceled", "leases"]


def test_a_job_for_later_whose_time_is_lost_is_failed_and_not_sent_early(
    redis: Redis, outbox: Outbox
) -> None:
    job_id = outbox.send(mail(), delay=3600).job_id
    redis.zrem(contract.registry_key("scheduled", "mail"), job_id)
    assert mended(redis).done.startswith("failed: ScheduleLost: ")
    assert places(redis, job_id) == ["failed"]
    assert fetch(redis, job_id).latest_result().exc_string.startswith("ScheduleLost: ")


def test_what_claim_or_promote_would_drop_is_set_right(redis: Redis, outbox: Outbox) -> None:
    queued, scheduled = outbox.send(mail()).job_id, outbox.send(mail(), delay=60).job_id
    score = redis.zscore(contract.registry_key("scheduled", "mail"), scheduled)
    redis.hset(contract.JOB_PREFIX + queued, "status", "scheduled")
    redis.hset(contract.JOB_PREFIX + scheduled, "status", "queued")
    assert {report.done for report in look(redis, repair=True)} == {"marked as queued", "marked as scheduled"}
    assert look(redis) == []
    assert (places(redis, queued), status(redis, queued)) == (["queue"], "queued")
    assert (places(redis, scheduled), status(redis, scheduled)) == (["scheduled"], "scheduled")
    assert redis.zscore(contract.registry_key("scheduled", "mail"), scheduled) == score


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
    ttl = redis.ttl(contract.JOB_PREFIX + job_id)
    redis.zrem(contract.registry_key(kind, "mail"), job_id)
    assert mended(redis).done == f"entered in the {kind} registry"
    assert places(redis, job_id) == [kind]
    assert abs(redis.ttl(contract.JOB_PREFIX + job_id) - ttl) <= 1
    redis.rpush(LIST, job_id)
    assert mended(redis).done == f"left in the {kind} registry alone"
    redis.hset(contract.JOB_PREFIX + job_id, "status", "queued")
    assert mended(redis).done == f"marked as {kind}"
    assert (places(redis, job_id), status(redis, job_id)) == ([kind], kind)


def test_entries_whose_jobs_are_gone_are_removed(redis: Redis, outbox: Outbox, lifecycle: Lifecycle) -> None:
    ids = [outbox.send(mail()).job_id for _ in range(6)]
    lifecycle.claim(1)
    for name, job_id in zip(("scheduled", "finished", "failed", "canceled"), ids[1:], strict=False):
        redis.lrem(LIST, 0, job_id)
        redis.zadd(contract.registry_key(name, "mail"), {job_id: time.time() + 600})
    redis.delete(*(contract.JOB_PREFIX + job_id for job_id in ids))
    [lease] = redis.zrange(LEASES, 0, -1)
    redis.zadd(LEASES, {lease: 1.0})
    reports = look(redis, repair=True)
    assert {report.job_id for report in reports} == set(ids)
    assert {report.done for report in reports} == {"removed"}
    assert set(redis.keys("rq:*")) == {b"rq:queues", b"rq:ses:account:default:unknown"}


def test_entries_that_have_had_their_time_are_rqs_to_drop(redis: Redis) -> None:
    redis.zadd(contract.registry_key("finished", "mail"), {"old": time.time() - 1})
    assert look(redis) == []


def test_an_id_twice_in_the_list_and_in_the_scheduled_registry_is_left_once(
    redis: Redis, job_id: str
) -> None:
    redis.rpush(LIST, job_id)
    redis.zadd(contract.registry_key("scheduled", "mail"), {job_id: 1.0})
    assert mended(redis).done == "left in the queue alone"
    assert places(redis, job_id) == ["queue"]


def test_a_job_without_payload_or_status_is_failed_with_a_clear_line(redis: Redis, outbox: Outbox) -> None:
    empty, blank = outbox.send(mail()).job_id, outbox.send(mail()).job_id
    redis.hdel(contract.JOB_PREFIX + empty, "data")
    redis.hdel(contract.JOB_PREFIX + blank, "status")
    look(redis, repair=True)
    assert look(redis) == []
    assert fetch(redis, empty).latest_result().exc_string.startswith("PayloadLost: ")
    assert fetch(redis, blank).latest_result().exc_string.startswith("StatusLost: ")


def test_odd_ids_and_keys_of_other_types_do_not_stop_the_audit(redis: Redis, job_id: str) -> None:
    redis.rpush(LIST, b"\xff\xfe", "a:b", "text", "")
    redis.set(contract.JOB_PREFIX + "text", "not a hash")
    redis.zadd(WIP, {b"\xff:\xff": 1.0, "no-colon": 2.0})
    redis.hset(contract.JOB_PREFIX + "else", mapping={"origin": "another", "status": "queued"})
    redis.hset(contract.JOB_PREFIX + "else:dependents", "x", "y")
    redis.hset(contract.JOB_PREFIX + "nameless", mapping={"last_heartbeat": "x"})
    reports = look(redis, repair=True)
    assert {report.done for report in reports} == {"removed"}
    assert redis.lrange(LIST, 0, -1) == [job_id.encode()]
    assert look(redis) == []
    assert redis.exists(contract.JOB_PREFIX + "text")


def test_a_job_of_ours_without_an_origin_is_found_by_its_function(redis: Redis, job_id: str) -> None:
    redis.hdel(contract.JOB_PREFIX + job_id, "origin")
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
    for name in ("BATCH", "LOOKS"):
        monkeypatch.setattr(audit_module, name, 50)
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


# The command


def run(redis_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--redis-url", redis_url, "--wait", "0", *arguments])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("RQ_SES_", "AWS_")):
            monkeypatch.delenv(name)


def test_the_command_reports_and_repairs_and_tells_by_its_exit_code(redis_url: str, redis: Redis) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    clean = run(redis_url)
    assert (clean.exit_code, clean.stdout) == (0, "")
    redis.delete(LIST)
    found = run(redis_url, "--json")
    assert found.exit_code == 1
    assert found.stdout == (
        f'{{"job_id": "{job_id}", "queue": "mail", "found": "queued, but stands in no list", "done": null}}\n'
    )
    repaired = run(redis_url, "--repair")
    assert repaired.exit_code == 0
    assert repaired.stdout == f"{job_id}: queued, but stands in no list → put back into the queue\n"
    assert run(redis_url).exit_code == 0


def test_the_command_needs_no_aws_credentials_and_reads_on_unknown_from_the_file(
    redis_url: str, redis: Redis, tmp_path: Any
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[rq_ses]\non_unknown = "hold"\nproxy = "${env.MISSING}"\n')
    job_id = Outbox(redis).send(mail()).job_id
    Lifecycle(redis, ["mail"], "dead", PREFIX, 30.0).claim(1)
    redis.delete(WIP, LEASES)
    assert run(redis_url, "--repair", "--config", str(config)).exit_code == 0
    assert places(redis, job_id) == ["failed"]


def test_without_redis_the_command_says_so() -> None:
    result = run("redis://127.0.0.1:1/0")
    assert result.exit_code == 4
    assert "check RQ_SES_REDIS_URL" in result.stderr


def test_on_a_terminal_the_report_still_goes_to_the_file(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    redis.delete(LIST)
    command_line = [sys.executable, "-m", "rq_ses", "audit", "--redis-url", redis_url, "--wait", "0.2"]
    with (tmp_path / "out").open("wb") as out:
        code, shown = run_on_terminal(command_line, environment(), stdout=out)
    assert code == 1
    assert (tmp_path / "out").read_text() == f"{job_id}: queued, but stands in no list\n"
    assert "jobs read" in shown
    assert job_id not in shown
