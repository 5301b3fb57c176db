"""A thread of a worker dies of something unforeseen: the worker says so and ends, and its mails move on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.fleet import DYING
from support.programs.processes import running, running_module
from support.waiting import wait_for

PARTS = {
    "settler": 2,
    "sender": 3,
    "heartbeat": 2,
    "quota": 1,
    "sweeper": 1,
    "dispatcher": 5,
}
"""At which passage of its point each dies."""


@pytest.mark.parametrize("part", PARTS)
def test_a_worker_whose_part_has_died_ends_with_an_error_and_others_send_its_mails(
    part: str, redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    jobs = [
        receipt.job_id
        for receipt in Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(20)])
    ]
    arguments = ["worker", "--lease", "2", "--concurrency", "4"]
    dies = [DYING, f"{part}-raises", str(PARTS[part]), *arguments]
    with running_module(dies, worker_env, tmp_path / "dying") as dying:
        wait_for(lambda: not dying.running, what=f"the end of a worker without its {part}")
    assert dying.stop() == exits.INCOMPLETE
    assert f"the worker's {part}" in dying.output
    assert "has died; the worker ends" in dying.output
    assert "Unforeseen" in dying.output
    with running(arguments, worker_env, tmp_path / "heir"):
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} == {"finished"})


def test_an_outcome_that_the_dead_settler_leaves_is_written_at_the_end(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail()).job_id
    arguments = [DYING, "settler-raises", "1", "worker", "--log-format", "json"]
    with running_module(arguments, worker_env, tmp_path / "dying") as dying:
        wait_for(lambda: not dying.running)
    told = [json.loads(line) for line in dying.output.splitlines() if line.startswith("{")]
    assert [line for line in told if line["event"] == "mail.unsettled"] == []
    assert status(redis, job_id) == "finished"
    assert len(ses.mails) == 1
    assert redis.zcard(KEYS.leases("mail")) == 0


def test_the_supervisor_starts_a_worker_anew_whose_part_has_died(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    jobs = [
        receipt.job_id
        for receipt in Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(20)])
    ]
    arguments = [DYING, "dispatcher-raises", "5", "worker", "--processes", "2", "--lease", "2"]
    with running_module(arguments, worker_env, tmp_path / "log") as supervisor:
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} == {"finished"})
        wait_for(lambda: "ended with exit code 1; it is started anew" in supervisor.output)
    assert supervisor.stop() == exits.OK
