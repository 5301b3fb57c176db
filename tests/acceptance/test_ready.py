"""The mails that a busy worker holds ready: how many, whose, and what becomes of them at its end."""

from __future__ import annotations

import signal
from pathlib import Path

from redis import Redis

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mail import mail
from support.processes import running
from support.waiting import wait_for

CONCURRENCY = 8
LEASES = contract.leases_key("mail")
FINISHED = contract.registry_key("finished", "mail")


def slow(number: int, seconds: float) -> str:
    """Return an address whose mail is accepted at once, and answered after `seconds`."""
    return f"slow-{seconds:g}.n{number}@faults.example"


def test_a_busy_worker_holds_a_quarter_more_and_gives_it_back_at_its_end(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    enqueued = [r.job_id for r in Outbox(redis_url).send_many(mail(slow(n, 2.5)) for n in range(40))]
    with running(["worker", "--concurrency", str(CONCURRENCY)], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: redis.zcard(LEASES) == CONCURRENCY * 5 // 4)
        assert redis.zcard(FINISHED) == 0, "it holds them while all of its threads are sending"
        assert worker.stop(signal.SIGTERM) == 0
    assert len(ses.mails) == CONCURRENCY
    assert redis.zcard(LEASES) == 0
    finished = {member.decode() for member in redis.zrange(FINISHED, 0, -1)}
    assert finished == set(enqueued[:CONCURRENCY])
    queued = [member.decode() for member in redis.lrange(contract.queue_key("mail"), 0, -1)]
    assert queued == enqueued[CONCURRENCY:]
    for job_id in queued:
        [status, meta] = redis.hmget(f"{contract.JOB_PREFIX}{job_id}", "status", "meta")
        assert (status, meta) == (b"queued", None)


def test_no_mail_waits_at_a_busy_worker_while_another_is_idle(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["worker", "--concurrency", str(CONCURRENCY)]
    with (
        running(arguments, worker_env, tmp_path / "a") as one,
        running(arguments, worker_env, tmp_path / "b") as two,
    ):
        wait_for(lambda: all("worker.started" in process.output for process in (one, two)))
        Outbox(redis_url).send_many(mail(slow(n, 5)) for n in range(CONCURRENCY * 5 // 4))
        wait_for(lambda: len(ses.mails) == CONCURRENCY * 5 // 4)
        assert redis.zcard(FINISHED) == 0, "all were sent before SES answered a single one"
