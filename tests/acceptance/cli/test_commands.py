"""RQ's commands to a worker: what can be done is done, of the rest the log says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from rq.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs.processes import running
from support.waiting import wait_for

NAME = ["worker", "--name", "the-worker"]


def test_a_mail_that_is_being_sent_cannot_be_stopped_and_the_log_says_what_can_be_done(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail("slow-2.a@faults.example")).job_id
    with running(NAME, worker_env, tmp_path / "log") as worker:
        wait_for(lambda: ses.attempts)
        send_stop_job_command(redis, job_id, serializer=contract.SERIALIZER)
        wait_for(
            lambda: f"RQ's command stop-job: job {job_id} is being sent, which can't be" in worker.output
        )
        assert "once it is canceled it is not tried again" in worker.output
        wait_for(lambda: status(redis, job_id) == "finished")
        send_command(redis, "the-worker", "stop-job", job_id="<b>other</b>\n")
        wait_for(lambda: "job ‹b›other‹/b› is not being sent by this worker" in worker.output)
        send_kill_horse_command(redis, "the-worker")
        wait_for(lambda: "RQ's command kill-horse: there is no work horse" in worker.output)
        assert worker.running


@pytest.mark.parametrize(
    "payload", ["", "[]", "5", '{"command": {}}', "\xff", "[" * 100_000, '{"job_id": 1}']
)
def test_what_is_no_command_breaks_nothing(
    redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path, payload: str
) -> None:
    with running(NAME, worker_env, tmp_path / "log") as worker:
        wait_for(lambda: redis.publish("rq:pubsub:the-worker", payload))
        wait_for(lambda: "RQ's command" in worker.output)
        job_id = Outbox(redis_url).send(mail()).job_id
        wait_for(lambda: status(redis, job_id) == "finished")
        assert "failed" not in worker.output


def test_shutdown_ends_the_worker_once_it_has_settled(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail("slow-1.a@faults.example")).job_id
    with running(NAME, worker_env, tmp_path / "log") as worker:
        wait_for(lambda: ses.attempts)
        send_shutdown_command(redis, "the-worker")
        wait_for(lambda: not worker.running)
        assert worker.stop() == 0
    assert "RQ's command shutdown" in worker.output
    assert fetch(redis, job_id).get_status() == "finished"
