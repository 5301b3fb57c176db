"""Resending dead letters in a real Valkey, alone and while others are at it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from redis import Redis
from redis.commands.core import Script
from rq import Queue
from rq.results import Result

from rq_ses import Outbox
from rq_ses.deadletter import DeadLetters, Resent
from rq_ses.deadletter.reading import reader as reading
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.deadletters import (
    fail,
    fail_queued,
    in_doubt,
    mails,
    queued,
    rejected,
    standing_failed,
)
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail
from support.waiting import wait_for


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
        listening.subscribe(KEYS.wake("mail-high"))
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
