"""What others write into Redis, by mistake or on purpose: none of it stops a worker or loses a good mail."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.serializers import JSONSerializer

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.fleet import Fleet
from support.waiting import wait_for

LIST = KEYS.queue("mail")
VALID = mail().model_dump(mode="json", exclude_defaults=True)


def call(*args: Any, function: str = contract.JOB_FUNCTION, **kwargs: Any) -> bytes:
    return json.dumps([function, None, list(args), kwargs]).encode()


BAD_DATA = {
    "empty": b"",
    "noise": bytes(range(256)),
    "no-list": b'{"a": 1}',
    "short-list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "bomb": zlib.compress(b"[" + b" " * 70_000_000, 9),
    "cut": zlib.compress(call(VALID))[:-5],
    "pickle": pickle.dumps(("os.system", None, ("false",), {})),
    "foreign": call("false", function="os.system"),
    "surrogates": b'["\\ud800\\udfff", null, ["\\ud800"], {"\\udc00": "\\ud800"}]',
    "surrogate-mail": call({**VALID, "subject": "\ud800", "to": ["\udfff@example.com"]}),
    "markup": call(function="<script>alert(1)</script>"),
    "odd-expiry": call(VALID, expires="soon"),
    "huge-number": b'["rq_ses_worker.job.send", null, [{"to": ' + b"9" * 5000 + b"}], {}]",
    "not-a-mail": call({"sender": 1}),
    "nothing": call(),
}

BAD_META = [
    b"\xff\xfe", b"[]", b"null", b"{", b"[" * 100_000, b'{"attempts": "many", "first_attempt_at": 1e999}',
    b'{"\\ud800": "\\udfff"}', *[b'{"deep": ' + b"[" * n + b"]" * n + b"}" for n in (900, 970, 985, 995)],
]  # fmt: skip

BAD_TTLS = [b"", b"soon", b"1.5", b"-7", b"nan", b"inf", b"1e300", b"99999999999999999999", b"0x10"]


def poison_list(redis: Redis) -> None:
    """Ids that name no job of the queue."""
    redis.set("rq:job:text", "no hash")
    redis.hset("rq:job:finished-already", mapping={"status": "finished", "data": call(VALID)})
    redis.hset("rq:job:no-data", "status", "queued")
    redis.hset("rq:job:no-status", "data", call(VALID))
    ids = ["vanished", "", "no:job", "x" * 100_000, "text", "finished-already", "no-data", "no-status", "a b"]
    redis.lpush(LIST, b"\xff\xfe\x00", *ids, "vanished")


def poison_registries(redis: Redis) -> None:
    """Members that no registry has."""
    strangers = {b"\xff\xfe": 1.0, "": 2.0, "no-colon": 3.0, "a:b:c": 4.0, "vanished:0123": 5.0}
    for key in ("scheduled", "finished", "failed", "canceled"):
        redis.zadd(KEYS.registry(key, "mail"), strangers)
    redis.zadd(KEYS.leases("mail"), strangers)
    redis.sadd("rq:workers", b"rq:worker:\xff", "nonsense")
    redis.sadd("rq:workers:mail", b"\xff\xfe")


def poison_commands(redis: Redis) -> None:
    """What RQ's workers listen to."""
    for channel in redis.pubsub_channels():
        for payload in (b"\xff", b"{", b"[]", b'{"command": "nonsense"}', b'{"command": "stop-job"}'):
            redis.publish(channel, payload)


@pytest.mark.parametrize("poison", [poison_list, poison_registries, poison_commands])
def test_what_is_no_job_stops_no_worker(
    poison: Callable[[Redis], None], redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("a")
    accounting.enqueue(outbox, 20, "503")
    poison(redis)
    accounting.enqueue(outbox, 100, "none")
    wait_for(accounting.ended)
    poison(redis)
    accounting.enqueue(outbox, 20, "none")
    wait_for(accounting.ended)
    assert accounting.check().having("failed") == set()
    assert redis.llen(LIST) == 0
    assert workers.all_running()


def test_jobs_that_are_no_mails_fail_with_a_reason_and_are_kept(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    accounting.enqueue(outbox, 20, "none")
    for name, data in BAD_DATA.items():
        redis.hset(
            f"rq:job:{name}", mapping={"status": "queued", "origin": "mail", "data": data, "failure_ttl": 900}
        )
        redis.rpush(LIST, name)
    accounting.enqueue(outbox, 20, "none")
    workers.started("a")
    wait_for(accounting.ended)
    wait_for(lambda: all(status(redis, name) == "failed" for name in BAD_DATA))
    accounting.check()
    for name, data in BAD_DATA.items():
        reason = redis.hget(f"rq:job:{name}", "exc_info").decode()
        assert reason.startswith(("JobRefused: ", "InvalidMessage: ")), reason
        assert "<" not in reason
        assert redis.hget(f"rq:job:{name}", "data") == data
        assert redis.zscore("rq:failed:mail", name)
    assert len(ses.mails) == 40
    assert workers.all_running()


def test_odd_fields_of_a_good_job_neither_stop_a_worker_nor_keep_its_mail_from_being_sent(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    odd = [{"meta": meta} for meta in BAD_META]
    odd += [{"result_ttl": ttl, "failure_ttl": ttl} for ttl in BAD_TTLS]
    odd += [
        {"created_at": b"\xff", "enqueued_at": b"\xff", "started_at": b"\xff", "description": b"\xff" * 99}
    ]
    for story in ("503x1", "reject", "none"):
        for fields in odd:
            [job_id] = accounting.enqueue(outbox, 1, story, subject="odd")
            redis.hset(f"rq:job:{job_id}", mapping=fields)
    good = accounting.enqueue(outbox, 50, "none")
    workers.started("a")
    wait_for(lambda: accounting.ended(good))
    wait_for(lambda: set(accounting.read().statuses.values()) <= {"finished", "failed", "gone"})
    assert len(ses.mails) == 50 + 2 * len(odd)
    assert workers.all_running()


def test_keys_of_a_wrong_type_beside_a_job_do_not_lose_it(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    index, results = accounting.enqueue(outbox, 2, "none")
    redis.set(f"rq:executions:{index}", "no sorted set")
    redis.set(f"rq:results:{results}", "no stream")
    accounting.enqueue(outbox, 50, "none")
    workers.started("a")
    wait_for(accounting.ended)
    redis.delete(f"rq:results:{results}")
    books = accounting.read()
    assert set(books.statuses.values()) == {"finished"}
    assert all(len(ids) == 1 for ids in books.accepted.values())


def test_a_registry_of_a_wrong_type_delays_mails_and_loses_none(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    retried = accounting.enqueue(outbox, 5, "503")
    redis.set("rq:scheduled:mail", "no sorted set")
    good = accounting.enqueue(outbox, 50, "none")
    workers.started("a")
    wait_for(lambda: accounting.ended(good))
    wait_for(lambda: "not of RQ's type" in workers.output)
    # Their lease runs out, and that brings them back.
    wait_for(lambda: accounting.ended(retried))
    redis.delete("rq:scheduled:mail")
    books = accounting.check()
    assert books.doubled == books.having("failed") == set()
    assert workers.all_running()


def test_an_id_that_stands_in_the_list_twice_is_sent_once(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    jobs = accounting.enqueue(outbox, 50, "slow-0.05")
    retried = accounting.enqueue(outbox, 20, "503")
    redis.rpush(LIST, *jobs, *retried)
    redis.lpush(LIST, *jobs[:10])
    workers.started("a")
    workers.started("b")
    wait_for(accounting.ended)
    wait_for(lambda: redis.llen(LIST) == 0)
    assert accounting.check().doubled == set()


def test_jobs_that_stock_rq_left_half_moved_stop_no_worker_and_stay_to_be_found(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    queue = Queue("mail", connection=redis, serializer=JSONSerializer)
    half = [queue.enqueue(contract.JOB_FUNCTION, VALID) for _ in range(6)]
    popped, intermediate, retrying, requeued, running, scheduled = [job.id for job in half]
    redis.lrem(LIST, 0, popped)  # taken by BLPOP
    redis.lrem(LIST, 0, intermediate)  # taken by LMOVE
    redis.rpush(IntermediateQueue(queue.key, redis).key, intermediate)
    redis.lrem(LIST, 0, retrying)  # Retry: the status is set before the place
    redis.hset(f"rq:job:{retrying}", "status", "scheduled")
    redis.lrem(LIST, 0, requeued)  # requeue: out of the registry before it is in the list
    redis.hset(f"rq:job:{requeued}", "status", "failed")
    redis.lrem(LIST, 0, running)  # its worker died while running it
    redis.hset(f"rq:job:{running}", "status", "started")
    redis.zadd("rq:wip:mail", {f"{running}:stock": 2e9})
    redis.zadd("rq:scheduled:mail", {scheduled: 1.0})  # in the list and in the registry
    before = {job.id: redis.hgetall(job.key) for job in half}
    workers.started("a")
    accounting.enqueue(outbox, 100, "none")
    wait_for(accounting.ended)
    wait_for(lambda: status(redis, scheduled) == "finished")
    assert accounting.check().having("failed") == set()
    assert workers.all_running()
    for job_id in (popped, intermediate, retrying, requeued, running):
        assert redis.hgetall(f"rq:job:{job_id}") == before[job_id]
        assert Job.fetch(job_id, connection=redis, serializer=JSONSerializer).args == [VALID]
