"""A cluster for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import worker_environment
from support.servers.cluster import PREFIX, Cluster, cluster
from support.waiting import wait_for


@pytest.fixture(scope="module")
def module_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def nodes(module_nodes: Cluster) -> Cluster:
    """A whole cluster without data."""
    wait_for(module_nodes.whole, within=30, every=0.05)
    module_nodes.stay()
    for node in module_nodes.primaries():
        module_nodes.client(node).flushall()
    return module_nodes


@pytest.fixture
def env(nodes: Cluster, ses: SimulatorServer) -> dict[str, str]:
    """What a worker needs to send from the cluster."""
    return worker_environment(nodes.url, ses.url, RQ_KEY_PREFIX=PREFIX)
