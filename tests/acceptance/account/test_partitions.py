"""`rq-ses worker` over the partitions of a queue: a process for each, and one gate for all."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox, Submission, contract
from rq_ses.contract import PRIORITIES
from rq_ses.gate import open_breaker
from rq_ses.keys import Keys
from rq_ses.server.stored import line
from rq_ses.states import FAILED, FINISHED
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import run, running
from support.waiting import wait_for

PREFIXES = ("{mail0}", "{mail1}")
PARTITIONS = [Keys(prefix) for prefix in PREFIXES]
QUEUES = contract.queue_names("mail")


@pytest.fixture
def env(worker_env: dict[str, str]) -> dict[str, str]:
    return {**worker_env, "RQ_SES_PARTITIONS": ",".join(PREFIXES)}


@pytest.fixture
def outbox(redis_url: str) -> Outbox:
    return Outbox(redis_url, partitions=PREFIXES)


def pids(redis: Redis, keys: Keys) -> set[int]:
    """Return the processes that RQ has registered in a partition."""
    return {int(redis.hget(key, "pid") or 0) for key in redis.smembers(keys.workers)}


def settled(redis: Redis, kind: str) -> list[int]:
    """Return how many mails stand in a registry of each partition."""
    return [sum(redis.zcard(keys.registry(kind, queue)) for queue in QUEUES) for keys in PARTITIONS]


def accepted(ses: SimulatorServer) -> Counter[str]:
    return Counter(one.request["Destination"]["ToAddresses"][0] for one in ses.mails)


def fill(outbox: Outbox, count: int) -> None:
    priorities = [PRIORITIES[n % len(PRIORITIES)] for n in range(count)]
    outbox.send_many(
        [Submission(mail(f"{one}{n}@example.com"), priority=one) for n, one in enumerate(priorities)]
    )


def test_each_partition_is_served_and_each_mail_sent_once(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    options = ["worker", "--concurrency", "4", "--name", "w", "--metrics", "127.0.0.1:0"]
    with running(options, env, tmp_path / "log") as supervisor:
        wait_for(lambda: all(pids(redis, keys) for keys in PARTITIONS))
        names = [line(key, 100) for keys in PARTITIONS for key in redis.smembers(keys.workers)]
        assert names == ["{mail0}:worker:w-1", "{mail1}:worker:w-2"]
        fill(outbox, 60)
        wait_for(lambda: sum(settled(redis, FINISHED)) == 60)
        assert min(settled(redis, FINISHED)) > 10
        assert supervisor.stop(signal.SIGTERM) == 0
        assert "Traceback" not in supervisor.output
    assert not any(pids(redis, keys) for keys in PARTITIONS)
    assert set(accepted(ses).values()) == {1}
    assert len(accepted(ses)) == 60
    # All of RQ's keys, and the mails', stand under the partitions' prefixes; the gate under its own.
    assert {key.decode() for key in redis.keys(f"{KEYS.root}*")} == {KEYS.account("default", "us-east-1")}


def test_a_process_that_is_killed_is_started_anew_for_its_own_partition(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    options = ["worker", "--concurrency", "2", "--lease", "1", "--processes", "3"]
    with running(options, env, tmp_path / "log") as supervisor:
        wait_for(lambda: [len(pids(redis, keys)) for keys in PARTITIONS] == [2, 1])
        [victim] = pids(redis, PARTITIONS[1])
        fill(outbox, 20)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: pids(redis, PARTITIONS[1]) - {victim})
        wait_for(lambda: sum(settled(redis, FINISHED)) == 20)
        assert supervisor.stop(signal.SIGTERM) == 0
    assert len(accepted(ses)) == 20


def test_a_burst_drains_all_and_tells_of_all(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, env: dict[str, str]
) -> None:
    fill(outbox, 30)
    outbox.send(mail("rejectx1.a@faults.example"))
    ended = run(["worker", "--burst"], env)
    assert (ended.returncode, sum(settled(redis, FINISHED))) == (1, 30)
    assert sum(settled(redis, FAILED)) == 1
    assert "30 sent, 1 failed; 0 scheduled, 0 left" in ended.stderr
    assert len(ses.mails) == 30


def test_a_breaker_holds_all_partitions(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    account = ("default", "us-east-1")
    open_breaker(redis, *account, "wrong prices")
    with running(["worker"], env, tmp_path / "log") as supervisor:
        fill(outbox, 20)
        wait_for(lambda: supervisor.output.count("wrong prices") == 2)
        assert len(ses.mails) == 0
        assert run(["health"], env).returncode == 0
        closed = run(["breaker", "close"], env)
        assert (closed.returncode, closed.stderr) == (0, "the breaker of default in us-east-1 is closed\n")
        wait_for(lambda: sum(settled(redis, FINISHED)) == 20)
        shown = json.loads(run(["breaker", "show", "--json"], env).stdout)
        assert (shown["breaker"], shown["claimed"]) == ("closed", 20)
        # As if the process of one partition were no more.
        redis.delete(*redis.smembers(PARTITIONS[1].workers))
        sick = run(["health"], env)
        assert (sick.returncode, sick.stderr.partition(": no worker")[0]) == (1, "Error: partition {mail1}")


def test_fewer_processes_than_partitions_are_refused(env: dict[str, str]) -> None:
    refused = run(["worker", "--processes", "1"], env)
    assert refused.returncode == 3
    assert "--processes: 1 can't serve 2 partitions" in refused.stderr
    assert "give at least 2" in refused.stderr
