"""Dead letters in a real Valkey: made by the worker's transitions, read back through RQ."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ConnectionError as ConnectionLost
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.results import Result

from rq_ses import IdempotencyConflict, Message, Outbox, Submission, contract
from rq_ses.deadletter import DeadLetterNotFound, DeadLetters, EditRefused, Filter, Resent
from rq_ses.deadletter.reading import reader as reading
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Terminal
from support.mails.deadletters import UNVERIFIED, fail, fail_queued, in_doubt, refused, rejected
from support.mails.mail import fetch, mail, status
from support.waiting import wait_for

FAILED, QUEUE = contract.registry_key("failed", "mail"), contract.queue_key("mail")


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return DeadLetters(redis)


def queued(redis: Redis, queue: str = "mail") -> list[str]:
    return [one.decode() for one in redis.lrange(contract.queue_key(queue), 0, -1)]


def standing_failed(redis: Redis, queue: str = "mail") -> set[str]:
    return {one.decode() for one in redis.zrange(contract.registry_key("failed", queue), 0, -1)}


def mails(count: int, **fields: Any) -> list[Message]:
    return [mail(f"user{number}@example.com", **fields) for number in range(count)]


def snapshot(redis: Redis) -> dict[bytes, Any]:
    read = {
        b"hash": redis.hgetall,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
        b"stream": redis.xrange,
    }
    return {key: (read[redis.type(key)](key), redis.expiretime(key)) for key in redis.scan_iter()}


# Looking


def test_groups_count_by_code_and_cause_over_all_priorities(redis: Redis, letters: DeadLetters) -> None:
    fail(redis, mails(30), [rejected(f"user{n}@example.com", f"r-{n}") for n in range(30)], age=3600)
    fail(redis, mails(5), Terminal(403, "AccessDeniedException", "User x is not authorized"))
    fail(redis, mails(7), rejected("other@example.com"), queue="mail-bulk")
    fail(redis, mails(2), in_doubt(), queue="mail-high")
    groups = letters.groups()
    assert [(g.code, g.count, g.unknown) for g in groups] == [
        ("MessageRejected", 37, 0),
        ("AccessDeniedException", 5, 0),
        ("ReadTimeout", 2, 2),
    ]
    first = groups.groups[0]
    assert first.cause == f"{UNVERIFIED}ADDRESS"
    assert first.oldest
    assert first.newest
    assert first.newest - first.oldest > timedelta(minutes=59)
    assert (groups.count, groups.unknown, groups.gone, groups.foreign) == (44, 2, 0, 0)
    assert letters.groups(Filter(newer_than=60)).count == 14
    assert DeadLetters(redis, queues=["mail-bulk"]).groups().count == 7


def test_dead_letters_come_in_the_order_in_which_they_failed_over_many_pages(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    ids = [job_id for _ in range(3) for job_id in fail(redis, mails(10))]
    found = [letter.job_id for letter in letters.find()]
    # Those that were settled together share a score.
    assert [set(found[n : n + 10]) for n in (0, 10, 20)] == [set(ids[n : n + 10]) for n in (0, 10, 20)]


def test_what_is_kept_for_ever_is_paged_through_too(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    Outbox(redis, failure_ttl=-1).send_many(mails(40))
    fail_queued(redis)
    assert {redis.zscore(FAILED, one) for one in standing_failed(redis)} == {float("inf")}
    found = [letter.job_id for letter in letters.find()]
    assert sorted(found) == sorted(standing_failed(redis))
    assert letters.resend().resent == 40


def test_pages_are_found_again_whatever_others_move_meanwhile(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 10)
    for _ in range(4):
        fail(redis, mails(25))
    ids = [one.decode() for one in redis.zrange(FAILED, 0, -1)]
    found = letters.find()
    seen = [next(found).job_id for _ in range(15)]
    for job_id in [*ids[:10], *ids[40:50]]:
        fetch(redis, job_id).requeue()
    redis.zadd(FAILED, {"before": 1})
    fail_queued(redis)
    seen += [letter.job_id for letter in found]
    assert seen[:20] == ids[:20]
    assert set(ids) - set(ids[40:50]) <= set(seen)
    assert len(seen) == len(set(seen))


def test_looking_changes_nothing(redis: Redis, letters: DeadLetters) -> None:
    [one, *_] = fail(redis, mails(5))
    redis.zadd(FAILED, {"expired": 1, "vanished": 2e9})
    before = snapshot(redis)
    list(letters.find(messages=True))
    letters.get(one)
    assert letters.groups().gone == 2
    letters.export(io.StringIO())
    letters.resend(limit=0)
    assert snapshot(redis) == before


def test_one_letter_is_shown_whole(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [Submission(mail(cc=["c@example.com"]), expires=600, on_unknown="hold")])
    letter = letters.get(job_id)
    assert letter.mail == mail(cc=["c@example.com"])
    assert letter.payload
    assert letter.payload.options.keys() == {"expires", "on_unknown"}
    assert letter.error.startswith("MessageRejected: Email address is not verified.")
    with pytest.raises(DeadLetterNotFound, match="is no failed mail of mail-high, mail, mail-bulk"):
        letters.get("no-such-job")
    letters.resend(Filter(ids=[job_id]))
    with pytest.raises(DeadLetterNotFound):
        letters.get(job_id)


def test_filters_on_mails_are_applied(redis: Redis, letters: DeadLetters) -> None:
    others = mails(3, sender="a@other.example")
    ids = fail(redis, [*mails(3, tags={"campaign": "may"}), *others], [rejected()] * 3 + [refused()] * 3)
    for wanted, expected in (
        (Filter(tags={"campaign": "may"}), ids[:3]),
        (Filter(sender_domain="other.example"), ids[3:]),
        (Filter(recipient="USER1@example.com"), [ids[1], ids[4]]),
        (Filter(recipient="user1@example.com", codes=["ConnectionRefused"]), [ids[4]]),
        (Filter(text="host refused"), ids[3:]),
        (Filter(ids=[*ids[2:4], "no-such-job", ids[2]]), ids[2:4]),
        (Filter(ids=[]), []),
    ):
        assert sorted(letter.job_id for letter in letters.find(wanted)) == sorted(expected), wanted


# Resending


def test_a_resent_mail_is_as_rq_requeues_it_and_is_claimed_afresh(redis: Redis, letters: DeadLetters) -> None:
    ours, theirs = fail(redis, [mail(), mail()])
    for job_id in (ours, theirs):
        redis.hset(f"rq:job:{job_id}", "meta", json.dumps({**fetch(redis, job_id).get_meta(), "mine": 1}))
    fetch(redis, theirs).requeue()
    assert letters.resend() == Resent(resent=1)
    assert queued(redis) == [theirs, ours]
    assert standing_failed(redis) == set()
    one, other = fetch(redis, ours), fetch(redis, theirs)
    for name in ("origin", "timeout", "args", "func_name", "worker_name", "started_at", "ended_at"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.get_status() == other.get_status() == "queued"
    assert not one._exc_info
    assert one.enqueued_at
    assert one.get_meta() == {"mine": 1}
    assert redis.ttl(f"rq:job:{ours}") == -1
    assert one.latest_result().type == Result.Type.FAILED
    claims, dropped = Lifecycle(redis, ["mail"], "w", "bbbbbbbb", 30.0).claim(5)
    assert [claim.fresh for claim in claims] == [True, True]
    assert dropped == 0


def test_mails_go_back_to_their_own_queues_and_wake_idle_workers(redis: Redis, letters: DeadLetters) -> None:
    high = fail(redis, mails(3), queue="mail-high")
    bulk = fail(redis, mails(3), queue="mail-bulk")
    with redis.pubsub() as listening:
        listening.subscribe(contract.wake_channel("mail-high"))
        wait_for(lambda: listening.get_message(timeout=1))
        assert letters.resend().resent == 6
        assert wait_for(lambda: listening.get_message(timeout=1))["type"] == "message"
    assert sorted(queued(redis, "mail-high")) == sorted(high)
    assert sorted(queued(redis, "mail-bulk")) == sorted(bulk)
    assert {queue.name for queue in Queue.all(connection=redis)} >= {"mail-high", "mail-bulk"}


def test_mails_that_ses_may_have_are_left_unless_asked_for(redis: Redis, letters: DeadLetters) -> None:
    fail(redis, mails(6), [rejected(), in_doubt()] * 3)
    assert letters.resend() == Resent(resent=3, unknown=3)
    assert letters.resend() == Resent(unknown=3)
    assert letters.resend(include_unknown=True) == Resent(resent=3)


def test_a_limit_takes_those_first_that_failed_first(redis: Redis, letters: DeadLetters) -> None:
    first, _, _ = (set(fail(redis, mails(20))) for _ in range(3))
    progress: list[int] = []
    assert (
        letters.resend(limit=20, rate=1000, on_progress=lambda done: progress.append(done.resent)).resent
        == 20
    )
    assert set(queued(redis)) == first
    assert progress[-1] == 20
    assert letters.resend(limit=0) == Resent()
    with pytest.raises(ValueError, match="limit: -1"):
        letters.resend(limit=-1)


def test_a_step_that_ctrl_c_meets_after_redis_made_it_is_counted(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fail(redis, mails(20))
    run, told = Script.__call__, []

    def interrupted(script: Script, *args: Any, **kwargs: Any) -> Any:
        answer = run(script, *args, **kwargs)
        if threading.current_thread() is threading.main_thread() and queued(redis):  # others read ahead
            signal.raise_signal(signal.SIGINT)
        return answer

    monkeypatch.setattr(Script, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        letters.resend(rate=100, on_progress=lambda done: told.append(done.resent))
    assert told == [len(queued(redis))]
    assert 0 < told[0] < len(ids)


def test_what_fails_anew_while_it_is_resent_is_not_resent_again(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 10)
    Outbox(redis, failure_ttl=-1).send_many(mails(60))
    fail_queued(redis)
    # Kept for ever, so the mails that fail anew stand among those that are still to be read.
    result = letters.resend(on_progress=lambda _: fail_queued(redis))
    assert result.resent == 60
    assert len(standing_failed(redis)) == 60
    assert letters.resend().resent == 60


def test_a_mail_that_failed_anew_since_it_was_read_is_left(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(20))

    def interfere(_: object) -> None:
        fetch(redis, ids[5]).requeue()
        fail_queued(redis, in_doubt())

    class Meddling(DeadLetters):
        """Something happens between reading and moving."""

    meddling = Meddling(redis)
    move = meddling._resending._move
    meddling._resending._move = lambda batch, result: (interfere(batch), move(batch, result))[1]  # type: ignore[method-assign]
    result = meddling.resend()
    assert (result.resent, result.again) == (19, 1)
    assert standing_failed(redis) == {ids[5]}


@pytest.mark.parametrize("also", ["another resend", "rq's requeue"])
def test_whoever_resends_at_the_same_time_doubles_nothing(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch, also: str
) -> None:
    monkeypatch.setattr(reading, "PAGE", 20)
    ids = fail(redis, mails(300))
    counts: list[int] = []

    def resend() -> None:
        counts.append(DeadLetters(redis).resend(rate=20_000).resent)

    def requeue() -> None:
        for job_id in ids[::2]:
            try:
                fetch(redis, job_id).requeue()
            except Exception as exc:  # noqa: BLE001 - RQ says so when somebody was quicker
                assert type(exc).__name__ == "InvalidJobOperation"  # noqa: PT017
            else:
                counts.append(1)

    others = [threading.Thread(target=resend if also == "another resend" else requeue) for _ in range(2)]
    for other in others:
        other.start()
    counts.append(letters.resend(rate=20_000).resent)
    for other in others:
        other.join()
    assert sorted(queued(redis)) == sorted(ids)
    assert sum(counts) == 300


KILLED = """
import os, signal, sys
from rq_ses.deadletter import DeadLetters, resending
from rq_ses.deadletter.reading import reader
reader.PAGE = resending.BATCH = 50
def stop(done):
    if done.resent >= 150:
        os.kill(os.getpid(), signal.SIGKILL)
DeadLetters(sys.argv[1]).resend(rate=500, on_progress=stop)
"""


def test_a_resend_that_is_killed_and_run_again_passes_over_and_doubles_nothing(
    redis: Redis, redis_url: str, letters: DeadLetters
) -> None:
    ids = fail(redis, mails(400))
    done = subprocess.run([sys.executable, "-c", KILLED, redis_url], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    moved = len(queued(redis))
    assert 150 <= moved < 400
    assert letters.resend() == Resent(resent=400 - moved)
    assert sorted(queued(redis)) == sorted(ids)


def test_a_server_that_is_away_raises_what_redis_py_says() -> None:
    with pytest.raises(ConnectionLost):
        DeadLetters("redis://127.0.0.1:1/0").groups()


# What isn't ours, and what is spoilt


def hostile(redis: Redis, job_id: str, **fields: Any) -> None:
    fields = {"status": "failed", "origin": "mail", "ended_at": "2026-05-31T09:00:00.000000Z", **fields}
    redis.hset(f"rq:job:{job_id}", mapping=fields)
    redis.zadd(FAILED, {job_id: 2e9})


def test_foreign_and_spoilt_jobs_are_passed_over_and_never_moved(redis: Redis, letters: DeadLetters) -> None:
    ours = fail(redis, mails(3))
    report = json.dumps(
        {"last_outcome": {"outcome": "terminal", "code": "X", "message": "", "ambiguous": False}}
    )
    queue = Queue("mail", connection=redis, serializer=contract.SERIALIZER)
    foreign = queue.enqueue("os.system", "true", job_id="foreign", description="x")
    redis.lrem(QUEUE, 0, foreign.id)
    hostile(redis, "foreign", meta=report)
    hostile(redis, "garbage", data=b"x\x9c" + os.urandom(100), meta=report, exc_info=b"\xff")
    hostile(redis, "nothing")
    hostile(redis, "refused", data=b'["os.system", null, ["true"], {}]', exc_info="JobRefused: no")
    redis.set("rq:job:text", "not a hash")
    redis.zadd(FAILED, {"text": 2e9, "gone": 2e9, b"\xff\xfe": 2e9})
    hostile(redis, "sent", status="finished")
    groups = letters.groups()
    # One with a mail's report counts as a mail here; before it is moved its data is looked at.
    assert {group.code: group.count for group in groups} == {"MessageRejected": 3, "X": 1}
    assert (groups.gone, groups.foreign) == (5, 2)
    assert {letter.job_id for letter in letters.find(messages=True)} == set(ours)
    assert letters.resend(include_unknown=True) == Resent(resent=3, gone=5, foreign=3)
    assert set(queued(redis)) == set(ours)


def test_a_mail_of_ours_that_can_t_be_read_is_resent_but_not_edited(
    redis: Redis, letters: DeadLetters
) -> None:
    hostile(redis, "broken", data=f'["{contract.JOB_FUNCTION}", null, ["x"], {{}}]'.encode())
    assert letters.get("broken").payload is None
    edits = {"sender": "new@example.com"}
    assert letters.resend(include_unknown=True, edits=edits) == Resent(invalid=1)
    assert letters.export(io.StringIO()).unreadable == 1
    assert letters.resend(include_unknown=True) == Resent(resent=1)


def test_large_mails_are_read_one_after_another(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "DATA_BYTES", 1000)
    monkeypatch.setattr(reading, "PAGE_BYTES", 1000)
    fail(redis, [mail(text=os.urandom(2000).hex()) for _ in range(5)])
    assert letters.groups().count == 5
    assert letters.resend().resent == 5
    fail_queued(redis)
    monkeypatch.setattr(reading, "DATA_LIMIT", 1000)
    assert letters.resend() == Resent(foreign=5)


# Edits


def test_mails_are_changed_in_the_step_that_moves_them(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30, tags={"a": "1"}))
    result = letters.resend(
        edits={"sender": "new@shop.example", "tags": {"b": "2"}, "reply_to": ["r@x.example"]}
    )
    assert result == Resent(resent=30)
    for number, job_id in enumerate(ids):
        task = read_job(redis.hget(f"rq:job:{job_id}", "data"))
        assert task.message == mail(
            f"user{number}@example.com", sender="new@shop.example", tags={"a": "1", "b": "2"},
            reply_to="r@x.example",
        )  # fmt: skip
        assert fetch(redis, job_id).description == f"user{number}@example.com → Hi"


def test_new_recipients_are_counted_and_described(redis: Redis, letters: DeadLetters) -> None:
    [one, other] = fail(redis, [mail(cc=["c@d.example", "e@f.example"]), mail()])
    letters.resend(Filter(ids=[one]), edits={"to": "anna@new.example", "cc": ["ben@new.example"]})
    assert fetch(redis, one).description == "anna@new.example (+1) → Hi"
    assert redis.hget(f"rq:job:{one}", contract.RECIPIENTS_FIELD) == b"2"
    assert queued(redis) == [one]
    assert standing_failed(redis) == {other}


def test_an_edit_that_isn_t_valid_moves_nothing(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30))
    for edits in ({"sender": "nobody"}, {"tags": {"a b": "c"}}, {"nonsense": "x"}, {"to": "all@one.example"}):
        with pytest.raises(EditRefused):
            letters.resend(edits=edits)
    assert standing_failed(redis) == set(ids)
    assert queued(redis) == []


def test_a_key_goes_on_standing_for_the_message_it_was_given_with(redis: Redis, letters: DeadLetters) -> None:
    outbox = Outbox(redis)
    [job_id] = fail(redis, [Submission(mail(), key="order-1")])
    letters.resend(edits={"sender": "new@shop.example"})
    again = outbox.send(mail(), key="order-1")
    assert (again.job_id, again.duplicate) == (job_id, True)
    with pytest.raises(IdempotencyConflict):
        outbox.send(mail(sender="new@shop.example"), key="order-1")
    assert queued(redis) == [job_id]


# Export and import


def exported(letters: DeadLetters, wanted: Filter | None = None) -> io.BytesIO:
    target = io.StringIO()
    letters.export(target, wanted or Filter())
    return io.BytesIO(target.getvalue().encode())


def test_an_export_survives_a_lost_redis(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(
        redis,
        [
            Submission(mail("a@b.example", html="<p>ö\u2028</p>"), key="k", expires=900, on_unknown="hold"),
            mail(),
        ],
        [rejected(), in_doubt()],
    )
    outbox, queue = Outbox(redis), Queue("mail", connection=redis, serializer=contract.SERIALIZER)
    before = {job_id: (fetch(redis, job_id), letters.get(job_id)) for job_id in ids}
    results = {job_id: fetch(redis, job_id).latest_result().exc_string for job_id in ids}
    file = exported(letters)
    redis.flushall()

    restored = letters.restore(file)
    assert (restored.failed, restored.queued, restored.exists, restored.bad) == (2, 0, 0, 0)
    for job_id, (job, letter) in before.items():
        after = fetch(redis, job_id)
        for name in ("origin", "args", "kwargs", "func_name", "description", "timeout", "result_ttl",
                     "failure_ttl", "created_at", "enqueued_at", "ended_at", "_exc_info"):  # fmt: skip
            assert getattr(after, name) == getattr(job, name), name
        assert after.get_meta() == job.get_meta()
        assert after.latest_result().exc_string == results[job_id]
        assert redis.ttl(f"rq:job:{job_id}") > 31_000_000
        assert redis.ttl(f"rq:results:{job_id}") > 31_000_000
        again = letters.get(job_id)
        assert (again.code, again.message, again.unknown, again.attempts, again.failed_at) == (
            letter.code, letter.message, letter.unknown, letter.attempts, letter.failed_at,
        )  # fmt: skip
    assert set(FailedJobRegistry(queue=queue).get_job_ids()) == set(ids)
    assert outbox.send(mail("a@b.example", html="<p>ö\u2028</p>"), key="k").duplicate
    assert letters.resend() == Resent(resent=1, unknown=1)


def test_an_import_is_made_once_whatever_became_of_the_mail(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30))
    file = exported(letters)
    redis.flushall()
    letters.restore(file)
    letters.resend(limit=10)
    file.seek(0)
    again = letters.restore(file, resend=True)
    assert (again.exists, again.failed, again.queued) == (30, 0, 0)
    assert len(queued(redis)) == 10
    assert len(standing_failed(redis)) == 20
    assert {*queued(redis), *standing_failed(redis)} == set(ids)


def test_an_import_resends_what_ses_surely_doesn_t_have(redis: Redis, letters: DeadLetters) -> None:
    certain, doubtful = fail(redis, [mail("a@b.example"), mail("c@d.example")], [rejected(), in_doubt()])
    file = exported(letters)
    redis.flushall()
    result = letters.restore(file, resend=True)
    assert (result.queued, result.failed, result.unknown) == (1, 1, 1)
    assert queued(redis) == [certain]
    assert fetch(redis, certain).get_meta() == {}
    assert standing_failed(redis) == {doubtful}
    [claim], _ = Lifecycle(redis, ["mail"], "w", "bbbbbbbb", 30.0).claim(5)
    assert claim.fresh
    assert read_job(claim.data).message == mail("a@b.example")
    redis.flushall()
    file.seek(0)
    assert letters.restore(file, resend=True, include_unknown=True).queued == 2
    assert fetch(redis, doubtful).get_meta() == {"ambiguous": 1, "consented": 2}


def test_doubt_and_consent_go_with_an_export(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [mail()], [in_doubt()])
    meta = {**fetch(redis, job_id).get_meta(), "ambiguous": 4, "consented": 4}
    redis.hset(f"rq:job:{job_id}", "meta", json.dumps(meta))
    file = exported(letters)
    redis.flushall()
    letters.restore(file)
    assert fetch(redis, job_id).get_meta() == meta
    letters.resend(include_unknown=True)
    assert fetch(redis, job_id).get_meta() == {"ambiguous": 4, "consented": 5}


LINE = {"job_id": "j1", "queue": "mail", "message": json.loads(mail().to_payload()), "unknown": False}
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "not JSON, or nested too deep"),
    "not UTF-8": (b'{"job_id": "\xff"}', "not JSON"),
    "nested too deep": (b"[" * 200_000, "not JSON, or nested too deep"),
    "a list": ([], "message: the list value is not a mapping"),
    "no id": ({**LINE, "job_id": None}, "job_id: "),
    "an id with a colon": ({**LINE, "job_id": "a:b"}, "job_id: 'a:b'"),
    "an id with a line break": ({**LINE, "job_id": "j1\n"}, "job_id: "),
    "no queue": ({**LINE, "queue": "a b"}, "queue: 'a b'"),
    "no message": ({**LINE, "message": "x"}, "message: "),
    "another option": ({**LINE, "options": {"x": 1}}, "options.x: is not a field"),
    "an option's value": ({**LINE, "options": {"on_unknown": "maybe"}}, "options.on_unknown: "),
    "a key": ({**LINE, "key": "order-1"}, "key: 'order-1'"),
    "a TTL": ({**LINE, "failure_ttl": 1e99}, "failure_ttl: "),
    "meta that is too large": ({**LINE, "meta": {"x": ["y" * 1000] * 70}}, "meta: "),
    "a doubt in words": ({**LINE, "unknown": "no"}, "unknown: "),
}


def test_bad_lines_are_named_and_the_rest_is_imported(redis: Redis, letters: DeadLetters) -> None:
    lines = [json.dumps(LINE).encode()]
    for value, _ in BAD.values():
        lines += [value if isinstance(value, bytes) else json.dumps(value).encode(), b"  "]
    problems: dict[int, str] = {}
    result = letters.restore(io.BytesIO(b"\xef\xbb\xbf" + b"\n".join(lines)), on_problem=problems.__setitem__)
    assert (result.failed, result.bad) == (1, len(BAD))
    for number, (_, problem) in enumerate(BAD.values()):
        assert problem in problems[2 + 2 * number]
        assert len(problems[2 + 2 * number]) <= 1000
    assert standing_failed(redis) == {"j1"}


def test_terms_of_rqs_own_are_kept_where_they_can_be(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [mail()])
    redis.hset(f"rq:job:{job_id}", mapping={"timeout": -1, "result_ttl": 999_999_999, "failure_ttl": 0})
    file = exported(letters)
    redis.flushall()
    assert letters.restore(file).failed == 1
    job = fetch(redis, job_id)
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (-1, contract.RESULT_TTL, contract.FAILURE_TTL)


def test_a_strangers_file_is_made_inert(redis: Redis, letters: DeadLetters) -> None:
    script = "<script>alert(1)</script>\x1b[2J"
    line = {
        **LINE,
        "message": {**LINE["message"], "subject": "<b>Hi"},
        "error": f"X: {script}\n{script}",
        "meta": {script: [{"x": script}]},
        "created_at": script,
        "description": script,
    }
    letters.restore(io.BytesIO(json.dumps(line).encode()))
    fields = redis.hgetall("rq:job:j1")
    del fields[b"data"]
    stored = json.dumps([value.decode() for value in fields.values()])
    assert "<" not in stored
    assert "\\u001b" not in stored
    assert "<" not in fetch(redis, "j1").latest_result().exc_string


def test_a_line_that_is_no_valid_mail_is_put_back_but_never_queued(
    redis: Redis, letters: DeadLetters
) -> None:
    line = json.dumps({**LINE, "message": {"sender": "nobody"}}).encode()
    problems: dict[int, str] = {}
    assert letters.restore(io.BytesIO(line), resend=True, on_problem=problems.__setitem__).bad == 1
    assert "sender: 'nobody' is not an e-mail address" in problems[1]
    assert letters.restore(io.BytesIO(line)).failed == 1
    assert status(redis, "j1") == "failed"


# The object


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "exactly one"),
        ({"redis_url": "redis://x", "connection": Redis()}, "exactly one"),
        ({"redis_url": "redis://x", "queues": "mail"}, "queues: "),
        ({"redis_url": "redis://x", "queues": []}, "queues: "),
    ],
)
def test_an_unusable_argument_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        DeadLetters(**arguments)


def test_a_url_is_enough(redis: Redis, redis_url: str) -> None:
    fail(redis, mails(2))
    assert DeadLetters(redis_url, queues=["mail", "mail"]).groups().count == 2
    assert isinstance(fetch(redis, next(iter(standing_failed(redis)))), Job)


def test_a_client_of_one_connection_reads_them_all(redis: Redis, redis_url: str) -> None:
    fail(redis, mails(3), rejected("user@example.com"))
    for client in (Redis.from_url(redis_url, max_connections=1), f"{redis_url}?max_connections=1"):
        assert DeadLetters(client).groups().count == 3
