"""Each test has a server of its own, with every acknowledged write on disk."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.programs.fleet import LEASE, Fleet
from support.programs.processes import worker_environment
from support.servers.durable import DurableValkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DurableValkey]:
    with DurableValkey(tmp_path / "valkey") as running:
        yield running


@pytest.fixture
def redis(server: DurableValkey) -> Iterator[Redis]:
    with server.client() as connection:
        yield connection


@pytest.fixture
def outbox(server: DurableValkey) -> Outbox:
    return Outbox(server.url, enqueue_timeout=30)


@pytest.fixture
def accounting(redis: Redis, ses: SimulatorServer) -> Accounting:
    return Accounting(redis, ses)


@pytest.fixture
def workers(server: DurableValkey, ses: SimulatorServer, tmp_path: Path) -> Iterator[Fleet]:
    """Workers with a short lease; whole batches of these tests fail, and no breaker shall interfere."""
    env = worker_environment(server.url, ses.url, RQ_SES_BREAKER_FAILURES="1000000")
    with Fleet(env, tmp_path, "--lease", str(LEASE), "--concurrency", "8") as fleet:
        yield fleet


@pytest.fixture
def chance() -> random.Random:
    """Chance that can be had again: RQ_SES_FAULT_SEED=... pytest tests/acceptance/faults."""
    seed = int(os.environ.get("RQ_SES_FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"RQ_SES_FAULT_SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    return random.Random(seed)
