"""One mail by id or key, whatever its state: looked at, and called back while it waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.job import Job

from rq_ses import Outbox, contract
from rq_ses.mails import MailNotFound, Mails
from rq_ses.mails.plans import canceling
from rq_ses.mails.view import mail_rows
from rq_ses_worker.engine.attempt import Attempt, judge, settlement
from rq_ses_worker.lifecycle.retry import History
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Sent
from support.mails.breaking import BreakableSource, each_break
from support.mails.deadletters import POLICY, fail, in_doubt, rejected
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.mails.world import World


@pytest.fixture
def mails(redis_url: str) -> Mails:
    return Mails(redis_url)


def fetched(redis: Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=redis, serializer=contract.SERIALIZER)


def claimed(redis: Redis) -> tuple[Lifecycle, list[object]]:
    lifecycle = Lifecycle(redis, ["mail"], "the-worker", "aaaaaaaa", 30.0)
    claims, _ = lifecycle.claim(1)
    return lifecycle, claims


def queued(redis: Redis) -> str:
    return Outbox(redis).send(mail(), key="k").job_id


def scheduled(redis: Redis) -> str:
    return Outbox(redis).send(mail(), key="k", delay=3600, priority="high").job_id


def started(redis: Redis) -> str:
    job_id = queued(redis)
    claimed(redis)
    return job_id


def finished(redis: Redis) -> str:
    job_id = queued(redis)
    lifecycle, [claim] = claimed(redis)
    ended = datetime.now(UTC)
    outcome = Sent(200, request_id="r-1", message_id="0100-abc")
    attempt = Attempt(History(), POLICY)
    ending = attempt.ended(outcome, ended.timestamp())
    settled = settlement(claim.lease, attempt, ending, judge(attempt, ending))  # type: ignore[attr-defined]
    assert lifecycle.settle([settled], clock=0.0) == ["done"]
    return job_id


def failed(redis: Redis) -> str:
    return fail(redis, [mail()], rejected())[0]


def doubted(redis: Redis) -> str:
    return fail(redis, [mail()], in_doubt())[0]


def canceled_by_rq(redis: Redis) -> str:
    job_id = queued(redis)
    fetched(redis, job_id).cancel()
    return job_id


STATES: dict[str, tuple[Callable[[Redis], str], str]] = {
    "queued": (queued, "in queue mail, at its front"),
    "scheduled": (scheduled, "in the scheduled registry"),
    "started": (started, "with a worker, under a lease"),
    "finished": (finished, "in the finished registry"),
    "failed": (failed, "in the failed registry"),
    "canceled": (canceled_by_rq, "in the canceled registry"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_mail_is_shown_whatever_its_state(redis: Redis, mails: Mails, name: str) -> None:
    make, place = STATES[name]
    before = redis.dbsize()
    job_id = make(redis)
    assert redis.dbsize() > before
    keys = sorted(redis.keys())
    found = mails.show(job_id)
    assert (found.job_id, found.status, found.place) == (job_id, name, place)
    assert found.description.startswith("anna@example.com → ")
    assert found.created_at is not None
    if name != "finished":
        assert (found.to, found.subject, found.size > 0) == (("anna@example.com",), "Hi", True)
    assert sorted(redis.keys()) == keys


def test_what_is_known_of_each_state_is_told(redis: Redis, mails: Mails) -> None:
    waits = mails.show(queued(redis))
    assert ("size", f"{waits.size:,} bytes in Redis") in mail_rows(waits, str)
    redis.flushall()
    sent = mails.show(finished(redis))
    left = f"{sent.size} bytes left in Redis: the message was dropped when it was sent"
    assert ("size", left) in mail_rows(sent, str)
    assert (sent.message_id, sent.outcome, sent.attempts) == ("0100-abc", "sent", 1)
    assert (sent.size, sent.subject, sent.keyed) == (sent.size, None, True)
    assert 86_000 < (sent.ttl or 0) <= 86_400
    redis.flushall()
    refused = mails.show(failed(redis))
    assert (refused.code, refused.http_status, refused.request_id) == ("MessageRejected", 400, "r-1")
    assert refused.hint
    assert (refused.unknown, refused.message_id) == (False, None)
    doubt = mails.show(doubted(redis))
    assert (doubt.code, doubt.unknown, doubt.in_doubt) == ("ReadTimeout", True, 1)
    redis.flushall()
    waits = mails.show(scheduled(redis))
    assert (waits.queue, waits.priority, waits.ttl) == ("mail-high", "high", None)
    assert waits.scheduled_for is not None
    assert 3590 < (waits.scheduled_for - waits.now).total_seconds() <= 3600
    redis.flushall()
    busy = mails.show(started(redis))
    assert (busy.worker, busy.started_at is not None) == ("the-worker", True)


def test_a_key_names_the_mail_whatever_its_priority(redis: Redis, mails: Mails) -> None:
    job_id = scheduled(redis)
    assert mails.show(key="k").job_id == job_id
    assert mails.cancel(key="k").job_id == job_id
    with pytest.raises(ValueError, match="exactly one"):
        mails.show(job_id, key="k")
    with pytest.raises(ValueError, match="exactly one"):
        mails.cancel()


@pytest.mark.parametrize("make", [queued, scheduled])
def test_a_mail_that_waits_is_canceled_and_stands_nowhere_else(
    redis: Redis, mails: Mails, make: Callable[[Redis], str]
) -> None:
    job_id = make(redis)
    done = mails.cancel(job_id)
    assert (done.canceled, done.before.status) == (True, make.__name__)
    job = fetched(redis, job_id)
    assert job.is_canceled
    queue = Queue(job.origin, connection=redis)
    assert job_id in queue.canceled_job_registry.get_job_ids(cleanup=False)
    assert redis.llen(KEYS.queue(job.origin)) == 0
    assert redis.zcard(KEYS.registry("scheduled", job.origin)) == 0
    assert 86_300 < redis.ttl(f"rq:job:{job_id}") <= contract.CANCELED_TTL
    claims, _ = Lifecycle(redis, ["mail-high", "mail"], "w", "aaaaaaaa", 30.0).claim(10)
    assert claims == []


@pytest.mark.parametrize("name", ["started", "finished", "failed", "canceled"])
def test_what_doesn_t_wait_is_left_as_it_is_and_said_to_be_what_it_is(
    redis: Redis, mails: Mails, name: str
) -> None:
    job_id = STATES[name][0](redis)
    before = redis.hgetall(f"rq:job:{job_id}")
    done = mails.cancel(job_id)
    assert (done.canceled, done.before.status) == (False, name)
    words = {"started": "being sent", "finished": "was sent", "failed": "has failed", "canceled": "canceled"}
    assert words[name] in done.reason
    assert redis.hgetall(f"rq:job:{job_id}") == before


def test_what_was_never_there_is_not_known(redis: Redis, mails: Mails) -> None:
    for act in (mails.show, mails.cancel):
        with pytest.raises(MailNotFound, match="not known in mail-high, mail, mail-bulk"):
            act("nope")
    other = Outbox(redis, "post").send(mail()).job_id
    with pytest.raises(MailNotFound, match="is of queue post: name it by --queue"):
        mails.show(other)
    foreign = Queue("mail", connection=redis, serializer=contract.SERIALIZER).enqueue("os.getpid").id
    with pytest.raises(MailNotFound, match="no mail"):
        mails.cancel(foreign)
    assert status(redis, foreign) == "queued"


@pytest.mark.parametrize("make", [queued, scheduled])
def test_a_full_server_takes_a_cancel(redis: Redis, mails: Mails, make: Callable[[Redis], str]) -> None:
    job_id = make(redis)
    redis.config_set("maxmemory", 1)
    try:
        assert mails.cancel(job_id).canceled
    finally:
        redis.config_set("maxmemory", 0)
    assert status(redis, job_id) == "canceled"


def test_hostile_hashes_are_shown_inert(redis: Redis, mails: Mails) -> None:
    for number, fields in enumerate(
        (
            {"meta": b"[" * 5000, "data": b"\x00"},
            {"meta": json.dumps({"attempts": 1e400, "last_outcome": 7}), "created_at": b"\xff"},
            {"description": "\x1b[2J<script>", "worker_name": b"\xff" * 5000, "exc_info": b"x\x9c\xff"},
        )
    ):
        redis.hset(f"rq:job:h{number}", mapping={"status": "failed", "origin": "mail", **fields})
        if "data" in fields:
            with pytest.raises(MailNotFound, match="no mail"):
                mails.show(f"h{number}")
        else:
            found = mails.show(f"h{number}")
            assert found.place.startswith("nowhere")
            assert "\x1b" not in found.description
    redis.set("rq:job:text", "x")
    with pytest.raises(MailNotFound):
        mails.show("text")


def test_an_id_that_is_no_text_is_looked_for_as_the_bytes_it_is(redis: Redis, mails: Mails) -> None:
    job_id = queued(redis)
    odd = b"x\xffy".decode("utf-8", "surrogateescape")
    redis.hset(b"rq:job:x\xffy", mapping={**redis.hgetall(f"rq:job:{job_id}")})
    redis.rpush("rq:queue:mail", b"x\xffy")
    assert mails.show(odd).ahead == 1
    assert mails.cancel(odd).canceled
    assert redis.lrange("rq:queue:mail", 0, -1) == [job_id.encode()]
    assert redis.hget(b"rq:job:x\xffy", "status") == b"canceled"


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"key": ""}, "^key: "),
        ({"key": 5}, "^key: 5"),
        ({"key": "\udcff"}, "^key: "),
        ({"job_id": 5}, "^job_id: 5"),
    ],
)
def test_what_can_name_no_mail_is_refused(mails: Mails, named: dict[str, Any], words: str) -> None:
    for act in (mails.show, mails.cancel):
        with pytest.raises(ValueError, match=words):
            act(**named)


def test_any_client_may_be_handed_over(redis: Redis, redis_url: str) -> None:
    job_id = queued(redis)
    decoding = Redis.from_url(redis_url, decode_responses=True)
    assert Mails(decoding).show(job_id).status == "queued"
    assert Mails(connection=decoding).cancel(job_id).canceled
    with pytest.raises(ValueError, match="exactly one"):
        Mails()


@pytest.mark.parametrize("delay", [None, 3600.0])
def test_a_cancel_that_breaks_off_at_any_of_its_calls_strands_nothing(
    redis: Redis, redis_url: str, delay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BreakableSource(redis, canceling._CANCEL)
    monkeypatch.setattr(canceling, "_CANCEL", source)

    def act(number: int) -> None:
        world, mails = World(redis), Mails(redis_url)
        job_id = world.outbox.send(mail(), key="k", delay=delay).job_id
        source.at = number
        with suppress(ResponseError):
            mails.cancel(job_id)
        assert mails.cancel(job_id).canceled or status(redis, job_id) == "canceled"
        world.put_right()
        assert world.places() == {job_id: ["canceled"]}
        assert redis.ttl(KEYS.job(job_id)) > 0
        assert not world.sent

    assert each_break(redis, act) > 8
