"""RQ's own worker, and ours beside it, send the same jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from rq import Worker
from rq.executions import ExecutionRegistry
from rq.job import JobStatus

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import ODD, fetch, mail, raw_mail, status
from support.programs.processes import running, running_module
from support.waiting import wait_for


@pytest.fixture
def outbox(redis_url: str) -> Outbox:
    return Outbox(redis_url)


def ended(redis: Redis, job_id: str) -> bool:
    return status(redis, job_id) in ("finished", "failed")


def stock(redis_url: str, *options: str) -> list[str]:
    """Return the arguments of RQ's own worker."""
    arguments = ["-m", "rq.cli", "worker", "mail", "--url", redis_url, "--worker-class", "rq.SimpleWorker"]
    return [*arguments, "--serializer", "rq.serializers.JSONSerializer", *options]


def test_a_stock_rq_worker_sends_the_same_jobs(
    redis: Redis,
    redis_url: str,
    outbox: Outbox,
    ses: SimulatorServer,
    worker_env: dict[str, str],
    tmp_path: Path,
) -> None:
    good, retried, bad = (
        outbox.send(mail(address)).job_id
        for address in ("anna@example.com", "503.x@faults.example", "reject.x@faults.example")
    )
    raw = outbox.send(raw_mail("ben@example.com")).job_id
    with running_module(stock(redis_url, "--with-scheduler"), worker_env, tmp_path / "log"):
        wait_for(lambda: all(ended(redis, job_id) for job_id in (good, retried, bad, raw)), within=60)
    assert [found.parsed.mime for found in ses.mails if found.recipients == ("ben@example.com",)] == [ODD]
    assert {mail.parsed.tags["rq-ses-job"] for mail in ses.mails} == {good, retried, raw}
    assert fetch(redis, good).return_value() == {"message_id": ses.mails[0].message_id}
    assert fetch(redis, retried).get_status() == JobStatus.FINISHED
    assert fetch(redis, retried).get_meta() == {"attempts": 2}
    failed = fetch(redis, bad)
    assert failed.get_status() == JobStatus.FAILED
    *_, line, hint = failed.latest_result().exc_string.strip().splitlines()
    assert "SendFailed: MessageRejected: " in line
    assert hint.startswith("Hint: ")
    assert failed.get_meta()["last_outcome"]["code"] == "MessageRejected"


def test_ours_and_a_stock_worker_share_a_queue(
    redis: Redis,
    redis_url: str,
    outbox: Outbox,
    ses: SimulatorServer,
    worker_env: dict[str, str],
    tmp_path: Path,
) -> None:
    with (
        running_module(stock(redis_url), worker_env, tmp_path / "stock"),
        running(["worker", "--concurrency", "1"], worker_env, tmp_path / "ours"),
    ):
        wait_for(lambda: len(Worker.all(connection=redis)) == 2)
        jobs = [r.job_id for r in outbox.send_many([mail(f"slow-0.1.{n}@faults.example") for n in range(30)])]
        wait_for(lambda: all(ended(redis, job_id) for job_id in jobs))
        workers = {fetch(redis, job_id).latest_result().worker_name for job_id in jobs}
    assert len(ses.mails) == 30
    assert len(workers) == 2
    for job_id in jobs:
        assert not ExecutionRegistry(job_id, connection=redis).get_job_count(cleanup=False)
