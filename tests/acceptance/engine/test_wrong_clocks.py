"""Workers on hosts whose clocks are off: mails live by the server's clock alone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from rq_ses import Outbox
from rq_ses_worker import job as job_module
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.outcome import Sent, Transient
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs import wrong_clock
from support.programs.processes import running, running_module
from support.waiting import wait_for

DAYS = 400 * 86_400.0
STRANGE = str(Path(wrong_clock.__file__))


@pytest.mark.parametrize("off", [DAYS, -DAYS, 120.0, -120.0])
def test_a_worker_whose_clock_is_off_neither_fails_nor_expires_a_mail(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path, off: float
) -> None:
    outbox = Outbox(redis_url)
    jobs = [
        outbox.send(mail(f"{story}.anna@faults.example"), expires=expires).job_id
        for story in ("slow-0.01", "503", "drop")
        for expires in (None, 60.0)
    ]
    # Of its first attempts one is made by a worker whose clock is right, and which dies.
    with running(["worker", "--lease", "1", "--concurrency", "2"], worker_env, tmp_path / "right") as right:
        wait_for(lambda: len(ses.attempts) >= 4)
        right.stop(signal.SIGKILL)
    with running_module([STRANGE, str(off), "worker", "--lease", "1"], worker_env, tmp_path / "wrong"):
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} <= {"finished", "failed"})
    assert {status(redis, job_id) for job_id in jobs} == {"finished"}


@pytest.mark.parametrize("off", [DAYS, -DAYS])
def test_what_has_expired_by_the_servers_clock_is_not_sent_whatever_the_hosts_say(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path, off: float
) -> None:
    job_id = Outbox(redis_url).send(mail(), expires=0.001).job_id
    with running_module([STRANGE, str(off), "worker"], worker_env, tmp_path / "wrong"):
        wait_for(lambda: status(redis, job_id) == "failed")
    assert fetch(redis, job_id).latest_result().exc_string.startswith("Expired: ")
    assert ses.attempts == []


@pytest.mark.parametrize("off", [DAYS, -DAYS])
def test_a_stock_worker_asks_the_server_for_the_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    answers = [Transient(503, "ServiceUnavailable", ""), Sent(200)]

    class Client:
        def send(self, _: object, _job_id: str) -> object:
            return answers.pop(0)

    monkeypatch.setattr(job_module, "_sender", lambda: (Client(), RetryPolicy(), False))
    job_id = Outbox(connection=redis).send(mail(), expires=60.0).job_id

    def attempt() -> None:
        SimpleWorker(["mail"], connection=redis, serializer=JSONSerializer).work(burst=True, max_jobs=1)

    attempt()
    assert status(redis, job_id) == "scheduled"
    with monkeypatch.context() as wrong:
        right: Callable[[], float] = wrong_clock.right_time
        wrong.setattr(time, "time", lambda: right() + off)
        redis.zrem("rq:scheduled:mail", job_id)
        redis.hset(f"rq:job:{job_id}", "status", "queued")
        redis.rpush("rq:queue:mail", job_id)
        attempt()
    assert answers == []
