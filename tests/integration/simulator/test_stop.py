"""A simulator that stops leaves nobody waiting."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

from rq_ses_worker.simulator.server import SimulatorServer
from support.waiting import PATIENCE

ROUNDS = 30


def test_a_connection_that_comes_in_the_last_moment_is_closed() -> None:
    for _ in range(ROUNDS):
        server = SimulatorServer()
        server.start()
        address = ("127.0.0.1", urlsplit(server.url).port or 0)
        connections: list[socket.socket] = []

        def knock(address: tuple[str, int] = address, connections: list[socket.socket] = connections) -> None:
            try:
                while len(connections) < 200:
                    connections.append(socket.create_connection(address, timeout=PATIENCE))
            except OSError:
                return  # it listens no more

        visitor = threading.Thread(target=knock)
        visitor.start()
        server.stop()
        visitor.join()
        for connection in connections:
            with connection:
                assert _is_closed(connection), "it was left open"


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(5)
    try:
        # As every client does: a connection whose handshake met the end of the listening socket has no other
        # side, and the kernel may tell so only to one that sends.
        connection.sendall(b"GET")
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_simulator_that_is_stopped_can_be_followed_by_another_on_its_port() -> None:
    with SimulatorServer() as first:
        port = urlsplit(first.url).port or 0
    with SimulatorServer(port=port) as second:
        assert second.url == first.url
        with pytest.raises(OSError, match="address already in use"):
            SimulatorServer(port=port).start()
