"""Interim answers (RFC 9110, section 15.2) are read past; the final one is taken, and no other."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.servers.sockets import CHUNKED, HINTS, OK, Answering, once, read_request
from support.ses.attempts import BODY, TIMEOUT, assert_transient, failed_in_time

PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Torn:
    """Answer every request with the same pieces, a moment between one and the next."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __call__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(connection):
            for piece in self._pieces:
                connection.sendall(piece)
                time.sleep(0.003)


INTERIM = [
    HINTS,
    CONTINUE,
    PROCESSING,
    b"HTTP/1.1 199\r\n\r\n",
    b"HTTP/1.0 102 Processing\nA: b\n\n",
    HINTS + PROCESSING + CONTINUE + HINTS,
    PROCESSING * 500,
    b"HTTP/1.1 103 Early Hints\r\nLink: " + b"<a>" * 5_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("interim", INTERIM, ids=range(len(INTERIM)))
@pytest.mark.parametrize("final", [OK, CHUNKED], ids=["plain", "chunked"])
def test_interim_answers_are_read_past_and_the_connection_is_kept(
    serving: Any, client_of: Any, interim: bytes, final: bytes
) -> None:
    for pieces in ((interim + final,), (interim, final)):
        server = serving(Torn(*pieces))
        client = client_of(server.url)
        assert [client.send_body(BODY) for _ in range(3)] == [Sent(200, message_id="m-1")] * 3
        assert server.connections == 1


def test_interim_answers_torn_at_any_byte_are_read_past(serving: Any, client_of: Any) -> None:
    whole = CONTINUE + HINTS + OK

    def tearing(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cut = 0
        while read_request(connection):
            cut += 1
            connection.sendall(whole[:cut])
            time.sleep(0.002)
            connection.sendall(whole[cut:])

    server = serving(tearing)
    client = client_of(server.url)
    for _ in range(1, len(whole)):
        assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("final", "kind"),
    [
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\n\r\n{}", RateLimited),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", Transient),
        (b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\n{}", Terminal),
    ],
)
def test_a_refusal_behind_an_interim_answer_is_one(
    serving: Any, client_of: Any, final: bytes, kind: type[Outcome]
) -> None:
    outcome = client_of(serving(once(HINTS + final)).url).send_body(BODY)
    assert (type(outcome), outcome.ambiguous) == (kind, False)


def test_a_late_answer_behind_an_interim_one_is_waited_for_and_meets_no_other_request(
    serving: Any, client_of: Any
) -> None:
    handler = Answering(HINTS)
    server = serving(handler)
    client = client_of(server.url, TIMEOUT)
    assert_transient(failed_in_time(client), "ReadTimeout", ambiguous=True)
    handler.answer = OK
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert server.connections == 2


def test_interim_answers_without_end_are_in_doubt(serving: Any, client_of: Any) -> None:
    def flood(connection: socket.socket) -> None:
        read_request(connection)
        while True:
            connection.sendall(HINTS * 100)

    assert_transient(client_of(serving(flood).url).send_body(BODY), "InvalidAnswer", ambiguous=True)


@pytest.mark.parametrize("interim", [HINTS, HINTS[:20], HINTS + HINTS[:5]])
def test_a_close_behind_an_interim_answer_is_in_doubt(serving: Any, client_of: Any, interim: bytes) -> None:
    outcome = client_of(serving(once(interim)).url).send_body(BODY)
    assert (type(outcome), outcome.ambiguous) == (Transient, True)


def test_another_protocol_is_no_interim_answer_and_in_doubt(serving: Any, client_of: Any) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    server = serving(Answering(switching + OK))
    client = client_of(server.url)
    for _ in range(2):
        outcome = client.send_body(BODY)
        assert (type(outcome), outcome.status, outcome.ambiguous) == (Terminal, 101, True)
    assert server.connections == 2


@pytest.mark.parametrize("first", [OK, CHUNKED, HINTS + OK], ids=["plain", "chunked", "hints"])
@pytest.mark.parametrize("late", [False, True])
def test_an_answer_too_many_meets_no_other_request(
    serving: Any, client_of: Any, first: bytes, late: bool
) -> None:
    second = OK.replace(b"m-1", b"m-2")

    def doubling(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(connection):
            connection.sendall(first + second[:30])
            if late:
                time.sleep(0.02)
            connection.sendall(second[30:])

    server = serving(doubling)
    client = client_of(server.url)
    assert [client.send_body(BODY) for _ in range(4)] == [Sent(200, message_id="m-1")] * 4
    assert server.connections == 4
