"""What `rq-ses status` reads: right, from hostile keys too, and without a trace."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Disconnected
from rich.console import Console
from rq import Queue, Worker

from rq_ses import Outbox, Submission, contract
from rq_ses.contract import FLOW_NAMES
from rq_ses.gate import _FLOW, open_breaker
from rq_ses.server.connection import connect
from rq_ses.status.rates import rates_between
from rq_ses.status.reader import read_snapshot
from rq_ses.status.snapshot import Snapshot
from rq_ses.status.view import screen, status_object
from rq_ses.status.whole import together
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.records import Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import mail

QUEUES = contract.queue_names("mail")


def lifecycle(redis: Redis, name: str = "the-worker") -> Lifecycle:
    gate = GatePolicy("default", "us-east-1", max_send_rate=1000)
    return Lifecycle(redis, QUEUES, name, f"{name[:4]:_<16}", 30.0, gate=gate)


def register(redis: Redis, name: str, **fields: Any) -> None:
    values = {
        "birth": "2026-01-01T00:00:00.000000Z",
        "last_heartbeat": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.000000Z",
        "queues": ",".join(QUEUES),
        "hostname": "a-host",
        "pid": 7,
        "state": "busy",
        **fields,
    }
    redis.sadd("rq:workers", f"rq:worker:{name}")
    redis.hset(f"rq:worker:{name}", mapping=values)


def everything(redis: Redis) -> dict[bytes, tuple[Any, int]]:
    """All keys, what they hold, and when they expire."""
    keys: Any = redis.keys("*")
    # A look at a large hash or set may move it on the inside, so that DUMP writes it in another order.
    read = {b"hash": redis.hgetall, b"set": redis.smembers}
    return {key: (read.get(redis.type(key), redis.dump)(key), redis.pexpiretime(key)) for key in keys}


def test_an_empty_redis_has_empty_queues_and_nobody(redis: Redis) -> None:
    found = read_snapshot(redis, QUEUES)
    assert [(q.name, q.queued, q.started, q.scheduled, q.failed, q.oldest) for q in found.queues] == [
        (name, 0, 0, 0, 0, 0.0) for name in ("mail-high", "mail", "mail-bulk")
    ]
    assert (found.workers, found.gates, found.mails, found.suspended) == ((), (), (), False)
    assert redis.keys("*") == []


def test_queues_are_counted_by_state_with_the_age_of_the_oldest(redis: Redis, redis_url: str) -> None:
    outbox = Outbox(redis_url)
    first, *_ = outbox.send_many([mail(f"user{n}@example.com") for n in range(5)])
    outbox.send_many([Submission(mail(), priority="bulk"), Submission(mail(), delay=100)])
    redis.hset(f"rq:job:{first.job_id}", "enqueued_at", "2026-01-01T00:00:00.000000Z")
    redis.zadd("rq:failed:mail", {"x": 1, "y": 2})
    seconds, _ = redis.time()
    high, normal, bulk = read_snapshot(redis, QUEUES).queues
    assert (high.queued, normal.queued, bulk.queued) == (0, 5, 1)
    assert (normal.scheduled, normal.failed) == (1, 2)
    assert normal.oldest == pytest.approx(seconds - 1767225600, abs=2)
    assert normal.next_due == pytest.approx(100, abs=2)
    assert bulk.oldest == pytest.approx(0, abs=2)


def test_an_older_mail_behind_retries_at_the_front_is_the_oldest(redis: Redis, redis_url: str) -> None:
    old, retry = Outbox(redis_url).send_many([mail("a@example.com"), mail("b@example.com")])
    redis.hset(f"rq:job:{old.job_id}", "enqueued_at", "2026-01-01T00:00:00.000000Z")
    redis.lrem("rq:queue:mail", 1, retry.job_id)
    redis.lpush("rq:queue:mail", retry.job_id)
    oldest = read_snapshot(redis, ["mail"]).queues[0].oldest
    assert oldest is not None
    assert oldest > 86_400


def test_mails_that_are_being_sent_are_told_with_their_workers(redis: Redis, redis_url: str) -> None:
    register(redis, "the-worker", state="idle", rq_ses_threads=16, rq_ses_account="default:us-east-1")
    receipts = Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(3)])
    claims, _ = lifecycle(redis).claim(2)
    found = read_snapshot(redis, QUEUES, mails=1)
    (worker,) = found.workers
    assert (worker.name, worker.host, worker.pid) == ("the-worker", "a-host", 7)
    assert worker.state == "busy"  # although its last heartbeat said otherwise
    assert (worker.current, worker.threads, worker.account, worker.region) == (2, 16, "default", "us-east-1")
    assert worker.silent is not None
    assert worker.silent < 30
    assert found.queues[1].started == 2
    (current,) = found.mails
    assert current.job_id in {receipts[0].job_id, receipts[1].job_id}
    assert (current.queue, current.worker) == ("mail", "the-worker")
    assert current.description.endswith("@example.com → Hi")
    (gate,) = found.gates
    assert (gate.account, gate.max_send_rate, gate.claimed) == ("default", 1000, len(claims))


def test_the_gate_that_is_asked_for_comes_first_and_once(redis: Redis) -> None:
    register(redis, "one", rq_ses_account="second:eu-west-1")
    register(redis, "two", rq_ses_account="default:us-east-1")
    open_breaker(redis, "default", "us-east-1", "wrong <b>prices</b>")
    found = read_snapshot(redis, QUEUES, account=("default", "us-east-1"))
    assert [(gate.account, gate.breaker) for gate in found.gates] == [
        ("default", "open"),
        ("second", "closed"),
    ]
    assert found.gates[0].reason == "wrong ‹b›prices‹/b›"


def test_what_a_worker_settles_is_told_a_second(redis: Redis, redis_url: str) -> None:
    register(redis, "the-worker")
    Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(7)])
    ours = lifecycle(redis)
    [earlier, *claims], _ = ours.claim(7)
    ours.settle([ending(earlier.lease, 0)], clock=time.monotonic())
    ours.count()
    before = read_snapshot(redis, QUEUES)
    ours.settle([ending(claim.lease, n) for n, claim in enumerate(claims)], clock=time.monotonic())
    ours.count()
    after = read_snapshot(redis, QUEUES)
    rates = rates_between(before, after)
    assert rates is not None
    counts = [rate * rates.seconds for rate in (rates.sent, rates.retried, rates.failed, rates.attempts)]
    assert counts == pytest.approx([3, 2, 1, 6])
    assert rates.attempt_seconds == pytest.approx(0.25)
    assert rates.by_worker["the-worker"] * rates.seconds == pytest.approx(6)
    assert (after.workers[0].sent, after.workers[0].retried) == (4, 2)


def ending(lease: Lease, number: int) -> Settlement:
    action, fields = [
        ("sent", sent_fields({})), ("sent", sent_fields({})), ("sent", sent_fields({})),
        ("retry", {"delay": 5}), ("retry", {"delay": 5}), ("failed", failed_fields("no")),
    ][number]  # fmt: skip
    return Settlement(lease, action, datetime.now(UTC), {"attempts": 1}, fields, seconds=0.25)  # type: ignore[arg-type]


def test_a_worker_that_is_new_counts_from_its_start_and_one_that_is_gone_not_at_all(redis: Redis) -> None:
    register(redis, "gone", successful_job_count=50)
    register(redis, "stays", successful_job_count=7)
    before = read_snapshot(redis, QUEUES)
    redis.delete("rq:worker:gone")
    register(redis, "new", successful_job_count=4, birth="2100-01-01T00:00:00.000000Z")
    register(redis, "unseen", successful_job_count=10_000)
    rates = rates_between(before, read_snapshot(redis, QUEUES))
    assert rates is not None
    assert rates.sent * rates.seconds == pytest.approx(4)
    assert set(rates.by_worker) == {"new", "stays", "unseen"}


def test_no_rates_are_told_where_no_time_has_passed(redis: Redis) -> None:
    found = read_snapshot(redis, QUEUES)
    assert rates_between(found, found) is None


def test_workers_of_other_queues_and_dead_ones_are_not_shown(redis: Redis) -> None:
    register(redis, "other", queues="reports")
    register(redis, "dead", death="2026-01-01T00:00:00.000000Z")
    redis.sadd("rq:workers", "rq:worker:expired")
    Worker([Queue("mail", connection=redis)], connection=redis, name="stock").register_birth()
    found = read_snapshot(redis, QUEUES)
    assert [worker.name for worker in found.workers] == ["stock"]
    assert (found.workers[0].threads, found.workers[0].account) == (None, "")
    assert found.other_workers == 1


def spoilt(redis: Redis) -> None:
    redis.set("rq:queue:mail", "no list")
    redis.hset("rq:wip:mail", "no", "zset")
    redis.set("rq:failed:mail", 1)
    redis.zadd("rq:scheduled:mail", {b"\xff\xfe": float("inf")})
    redis.zadd("rq:ses:leases:mail", {b"\xff\x00": 1, b"a:b:c": float("inf"), b"<script>:x": 2, b"<b>:x": 3})
    redis.hset(
        "rq:job:a",
        mapping={"status": "started", "worker_name": b"\xff\x1b[31m<b>", "started_at": "nan"},
    )
    redis.hset("rq:job:<b>", mapping={"rq_ses_execution": "x", "worker_name": "<img>", "description": "<i>"})
    redis.set("rq:job:<script>", "no hash")
    redis.rpush("rq:queue:mail-high", b"\xff", "x" * 1000, "y")
    redis.hset("rq:job:y", "enqueued_at", "yesterday")
    redis.set("rq:ses:account:default:us-east-1", "no hash")
    redis.sadd("rq:workers", "rq:worker:string", b"\xff", "rq:job:y", "rq:queue:mail")
    redis.set("rq:worker:string", "no hash")
    register(
        redis, "<script>alert(1)</script>", pid="inf", successful_job_count="1e400", failed_job_count="many",
        total_working_time="nan", birth="0001-01-01T00:00:00+23:59", hostname=b"\x1b]0;x\x07\xff" * 100,
        rq_ses_threads="9" * 100, rq_ses_account="../../x:<b>", state="busy" * 1000, queues="mail," * 1000,
    )  # fmt: skip


def test_hostile_keys_are_unknown_and_inert(redis: Redis) -> None:
    spoilt(redis)
    found = read_snapshot(redis, QUEUES, account=("default", "us-east-1"))
    high, normal, _ = found.queues
    assert (normal.queued, normal.started, normal.failed, normal.scheduled) == (None, None, None, 1)
    assert (normal.oldest, normal.next_due, high.queued, high.oldest) == (None, None, 3, None)
    (worker,) = found.workers
    assert worker.name == "‹script›alert(1)‹/script›"
    assert (worker.pid, worker.sent, worker.failed, worker.seconds, worker.threads) == (None, 0, 0, 0.0, None)
    assert (worker.account, found.gates) == ("", ())
    assert len(found.mails) == 2
    assert [untold.what for untold in found.refused] == ["queue mail", "account default in us-east-1"]
    assert all("WRONGTYPE" in untold.reason for untold in found.refused)
    told = status_object(found, None)["refused"]
    assert told[0].startswith("queue mail: ResponseError: WRONGTYPE")
    shown = repr(found)
    assert "<" not in shown
    assert "\x1b" not in shown
    assert "\\x1b" not in shown


def test_a_mail_that_was_settled_meanwhile_is_not_listed(redis: Redis) -> None:
    redis.zadd("rq:ses:leases:mail", {"job:execution": time.time() + 30})
    assert read_snapshot(redis, QUEUES).mails == ()


def test_numbers_that_json_does_not_have_are_null(redis: Redis) -> None:
    key = KEYS.account("default", "us-east-1")
    values = dict.fromkeys(FLOW_NAMES, 1e308) | {"used": -1e308, "a_recipients": -1e308}
    redis.hset(key, mapping={"flow": _FLOW.pack(*values.values()), "since": "1e308", "state": "open"})
    found = read_snapshot(redis, QUEUES, account=("default", "us-east-1"))
    (account,) = json.loads(json.dumps(status_object(found, None), allow_nan=False))["accounts"]
    assert (account["rate_in_use"], account["quota_left"]) == (None, None)


def test_reading_changes_nothing(redis: Redis, redis_url: str) -> None:
    spoilt(redis)
    redis.delete("rq:queue:mail", "rq:wip:mail", "rq:failed:mail", "rq:scheduled:mail")
    Outbox(redis_url).send_many([mail(), Submission(mail(), delay=0.001)])
    # What RQ's own count would clean up.
    redis.zadd("rq:wip:mail", {"gone:1": 1})
    redis.zadd("rq:failed:mail", {"gone": 1})
    before = everything(redis)
    read_snapshot(redis, QUEUES, account=("default", "us-east-1"))
    assert everything(redis) == before


def test_a_full_server_is_read_with_its_gate(redis: Redis, redis_url: str) -> None:
    Outbox(redis_url).send(mail())
    lifecycle(redis).claim(1)
    open_breaker(redis, "default", "us-east-1", "by hand")
    redis.config_set("maxmemory", 1)
    try:
        found = read_snapshot(redis, QUEUES, account=("default", "us-east-1"))
    finally:
        redis.config_set("maxmemory", 0)
    assert [gate.breaker for gate in found.gates] == ["open"]
    assert found.queues[1].started == 1


def test_a_server_that_is_away_is_an_error() -> None:
    with pytest.raises(Disconnected):
        read_snapshot(connect("redis://127.0.0.1:1/0", socket_timeout=1, connect_timeout=1), QUEUES)


def test_without_workers_only_queues_and_the_gate_are_read(redis: Redis) -> None:
    register(redis, "one", rq_ses_account="second:eu-west-1")
    found: Snapshot = read_snapshot(redis, QUEUES, account=("default", "us-east-1"), workers=False, mails=0)
    assert (found.workers, [gate.account for gate in found.gates]) == ((), ["default"])


def test_what_hooks_wait_for_and_what_ses_has_told_are_counted(redis: Redis, redis_url: str) -> None:
    assert read_snapshot(redis, QUEUES).hooks == ()
    redis.xadd(KEYS.outcomes, {"outcome": "{}"}, id=f"{int((time.time() - 60) * 1000)}-1")
    redis.xgroup_create(KEYS.outcomes, "webhook", id="0")
    redis.xgroup_create(KEYS.outcomes, "django", id="$")
    redis.xadd(KEYS.outcomes, {"outcome": "{}"})
    redis.xreadgroup("webhook", "one", {KEYS.outcomes: ">"}, count=1)
    redis.hset(KEYS.feedback, mapping={"Bounce": 3, "Complaint": "many"})
    found = read_snapshot(redis, QUEUES)
    assert [(one.group, one.waiting) for one in found.hooks] == [("django", 1), ("webhook", 2)]
    assert 59 < (found.hooks[1].oldest or 0) < 120
    assert found.feedback == {"Bounce": 3}
    doubled = together([("a", found), ("b", found)], 0)
    assert [(one.group, one.waiting) for one in doubled.hooks] == [("django", 2), ("webhook", 4)]
    assert doubled.feedback == {"Bounce": 6}
    shown = io.StringIO()
    Console(file=shown, width=120).print(screen(found, None, title="x"))
    assert "webhook: 2 outcomes to be told, the oldest for 60" in shown.getvalue()
    redis.set(KEYS.outcomes, "else")
    assert read_snapshot(redis, QUEUES).hooks == ()
