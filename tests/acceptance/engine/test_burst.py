"""`rq-ses worker --burst`, as cron runs it: it counts, and it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail
from support.programs.processes import run

pytestmark = pytest.mark.usefixtures("ses")


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_burst_ends_with_one_line_that_counts(
    redis_url: str, worker_env: dict[str, str], processes: str
) -> None:
    addresses = ["503.a@faults.example", *(f"user{n}@example.com" for n in range(40))]
    Outbox(redis_url).send_many([mail(address) for address in addresses])
    done = run(["worker", "--burst", "--processes", processes], worker_env)
    assert done.returncode == exits.OK
    assert done.stdout == ""
    assert done.stderr.count("burst over: ") == 1
    assert "burst over: 41 sent, 0 failed; 0 scheduled, 0 left in the queue" in done.stderr


def test_a_burst_in_which_a_mail_failed_says_so_by_its_exit_code(
    redis_url: str, worker_env: dict[str, str]
) -> None:
    Outbox(redis_url).send_many([mail("reject.a@faults.example"), mail()])
    done = run(["worker", "--burst", "--log-level", "warning"], worker_env)
    assert done.returncode == exits.INCOMPLETE
    assert "burst over: 1 sent, 1 failed; 0 scheduled, 0 left in the queue" in done.stderr


def test_a_burst_waits_no_longer_than_it_is_told_for_what_is_scheduled(
    redis: Redis, redis_url: str, worker_env: dict[str, str]
) -> None:
    outbox = Outbox(redis_url)
    outbox.send(mail("user1@example.com"), delay=3600)
    outbox.send(mail("user2@example.com"), delay=1)
    outbox.send(mail("user3@example.com"))
    done = run(["worker", "--burst", "--max-wait", "5"], worker_env)
    assert done.returncode == exits.OK
    assert "burst over: 2 sent, 0 failed; 1 scheduled, 0 left in the queue" in done.stderr
    assert redis.zcard(KEYS.registry("scheduled", "mail")) == 1


def test_a_burst_that_waits_for_nothing_leaves_retries_to_the_next(
    redis: Redis, redis_url: str, worker_env: dict[str, str]
) -> None:
    job_id = Outbox(redis_url).send(mail("429x9.a@faults.example")).job_id
    done = run(["worker", "--burst", "--max-wait", "0"], worker_env)
    assert fetch(redis, job_id).get_meta()["attempts"] == 1
    assert "burst over: 0 sent, 0 failed; 1 scheduled, 0 left in the queue" in done.stderr


def test_a_burst_waits_no_longer_for_an_open_breaker(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    ses.stop()
    Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(30)])
    done = run(["worker", "--burst", "--max-wait", "3"], {**worker_env, "RQ_SES_BREAKER_PROBE": "60"})
    assert done.returncode == exits.OK
    assert "burst over: 0 sent, 0 failed; " in done.stderr


def test_max_wait_is_for_bursts(worker_env: dict[str, str]) -> None:
    done = run(["worker", "--max-wait", "3"], worker_env)
    assert (done.returncode, done.stdout) == (exits.USAGE, "")
    assert "--max-wait is for --burst" in done.stderr
