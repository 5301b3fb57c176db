"""Mails that a busy worker holds ready are none that another would send at once."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import running
from support.waiting import wait_for

CONCURRENCY = 8
FINISHED = KEYS.registry("finished", "mail")


def test_no_mail_waits_at_a_busy_worker_while_another_is_idle(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["worker", "--concurrency", str(CONCURRENCY)]
    with (
        running(arguments, worker_env, tmp_path / "a") as one,
        running(arguments, worker_env, tmp_path / "b") as two,
    ):
        wait_for(lambda: all("worker.started" in process.output for process in (one, two)))
        # Accepted at once, answered after 5 s.
        Outbox(redis_url).send_many(mail(f"slow-5.n{n}@faults.example") for n in range(CONCURRENCY * 5 // 4))
        wait_for(lambda: len(ses.mails) == CONCURRENCY * 5 // 4)
        assert redis.zcard(FINISHED) == 0, "all were sent before SES answered a single one"
