"""What the tests of the simulator share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from rq_ses_worker.simulator.server import SimulatorServer


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(error_shape="header") as server:
        yield server
