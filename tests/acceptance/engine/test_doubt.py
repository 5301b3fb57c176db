"""A mail that SES accepts and answers too late: few copies, and then it is held."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs.processes import run, running
from support.waiting import wait_for

NEVER_IN_TIME = "slow-0.6x900.anna@faults.example"
HASTY = ["worker", "--timeout", "0.5", "--transient-delay", "0.1"]
PROBING = {"RQ_SES_BREAKER_PROBE": "0.2", "RQ_SES_BREAKER_PROBE_MAX": "0.3"}


@pytest.mark.parametrize(
    ("variables", "copies"),
    [
        ({}, 3),
        ({"RQ_SES_MAX_DOUBTFUL": "5"}, 5),
        ({"RQ_SES_MAX_DOUBTFUL": "1"}, 1),
        ({**PROBING, "RQ_SES_BREAKER_FAILURES": "1"}, 3),
    ],
    ids=["as it comes", "five", "one", "probes"],
)
def test_a_mail_that_is_always_answered_too_late_is_held_after_so_many_copies(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    variables: dict[str, str], copies: int,
) -> None:  # fmt: skip
    job_id = Outbox(redis_url).send(mail(NEVER_IN_TIME)).job_id
    with running(HASTY, {**worker_env, **variables}, tmp_path / "log") as worker:
        wait_for(lambda: status(redis, job_id) == "failed")
        assert ("half-open" in worker.output) == ("RQ_SES_BREAKER_FAILURES" in variables)
    assert len(ses.mails) == copies
    line = fetch(redis, job_id).latest_result().exc_string.splitlines()[0]
    assert line.startswith("outcome unknown: ReadTimeout: ")
    times = "once" if copies == 1 else f"{copies} times"
    assert line.endswith(f"; SES may have accepted it {times}")


def test_requeues_send_no_more_copies_and_consent_sends_one(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail(NEVER_IN_TIME)).job_id

    def ends() -> str:
        wait_for(lambda: status(redis, job_id) == "failed")
        return str(fetch(redis, job_id).latest_result().exc_string)

    with running(HASTY, worker_env, tmp_path / "log"):
        ends()
        fetch(redis, job_id).requeue()
        assert "OutcomeUnknown: not sent" in ends()
        assert len(ses.mails) == 3
        assert "1 mail left: SES may have accepted" in run(["resend", "--yes"], worker_env).stderr
        assert run(["resend", "--yes", "--include-unknown"], worker_env).returncode == 0
        assert "; SES may have accepted it 4 times" in ends()
    assert len(ses.mails) == 4


def test_workers_that_are_killed_over_and_over_send_no_more_copies(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail("slow-30x900.anna@faults.example")).job_id
    for number in range(3):
        with running(["worker", "--lease", "1"], worker_env, tmp_path / "log") as worker:
            wait_for(lambda: len(ses.mails) == number + 1)  # noqa: B023
            worker.stop(signal.SIGKILL)
    with running(["worker", "--lease", "1"], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "failed")
    assert len(ses.mails) == 3
    assert "outcome unknown: WorkerLost" in fetch(redis, job_id).latest_result().exc_string
