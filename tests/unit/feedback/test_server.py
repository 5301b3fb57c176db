"""How long the server waits for a request: not for ever, however often a piece of one comes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waitress.adjustments import Adjustments
from waitress.server import BaseWSGIServer

from rq_ses_worker.feedback.server import Channel


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("waitress.channel.time", clock)
    return clock


class Line:
    """A connection, as its client and as the server have it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        adjustments = Adjustments(channel_timeout=20)
        serving: Any = SimpleNamespace(
            adj=adjustments, active_channels={}, add_task=lambda _: None, next_channel_cleanup=0
        )
        self.channel = Channel(serving, server, "", adjustments, map={})
        self.maintain = lambda now: BaseWSGIServer.maintenance(serving, now)

    def come(self, piece: bytes) -> None:
        self.client.sendall(piece)
        self.channel.handle_read()


@pytest.fixture
def line(clock: Clock) -> Iterator[Line]:
    client, server = socket.socketpair()
    made = Line(client, server)
    yield made
    made.channel.close()
    client.close()


@pytest.mark.parametrize("piece", [b"\r\n", b"x"])
def test_a_byte_now_and_then_keeps_no_connection(line: Line, clock: Clock, piece: bytes) -> None:
    for _ in range(3):
        line.come(piece)
        line.maintain(clock.now)
        assert not line.channel.will_close
        clock.now += 7
    line.maintain(clock.now)
    assert line.channel.will_close


def test_a_request_that_begins_late_has_its_own_time(line: Line, clock: Clock) -> None:
    clock.now += 19
    line.come(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
    clock.now += 19
    line.maintain(clock.now)
    assert not line.channel.will_close
    line.come(b"}")
    clock.now += 100  # it is being handled
    line.maintain(clock.now)
    assert not line.channel.will_close
