"""What refuses a request before it has it: its words are read, and nothing is in doubt."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient
from support.servers.sockets import HINTS, OK, Handler, read_request
from support.ses.attempts import assert_transient

REFUSAL = (
    b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    b'{"message":"8 MB is more than we take."}'
)


def refusing(answer: bytes, *, size: int = 1000) -> Handler:
    """Read the request's beginning, answer, and close although the rest is still coming."""

    def handle(connection: socket.socket) -> None:
        # Else the answer may wait for an acknowledgement, and never leave.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = 0
        while received < size:
            received += len(connection.recv(65_536))
        connection.sendall(answer)

    return handle


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("interim", [b"", HINTS])
@pytest.mark.parametrize("length", [300_000, 8_000_000, 40_000_000])
def test_an_early_refusal_keeps_its_words(
    serving: Any,
    client_of: Any,
    tls: ssl.SSLContext,
    ca: str,
    encrypted: bool,
    interim: bytes,
    length: int,
) -> None:
    server = serving(refusing(interim + REFUSAL), tls if encrypted else None)
    client = client_of(server.url, ca_bundle=ca)
    for _ in range(3):
        outcome = client.send_body(b"x" * length)
        assert outcome == Terminal(413, message="8 MB is more than we take.")
    assert server.connections == 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
            RateLimited(429, retry_after=7),
        ),
        (b"HTTP/1.1 503 Away\r\n\r\n", Transient(503)),
        # Not in doubt: nobody can have accepted a part of a request.
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", Transient(502)),
        (b"HTTP/1.1 500 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Transient(500)),
        (b"HTTP/1.1 403 No\r\nContent-Length: 99\r\n\r\n{", Terminal(403)),
    ],
)
def test_an_early_refusal_is_classified_and_never_in_doubt(
    serving: Any, client_of: Any, answer: bytes, expected: Outcome
) -> None:
    assert client_of(serving(refusing(answer)).url).send_body(b"x" * 8_000_000) == expected


@pytest.mark.parametrize("status", [b"408 Too Slow", b"413 Too Large"])
@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_connection_on_which_a_request_was_broken_off_carries_no_further_one(
    serving: Any, client_of: Any, status: bytes, head: bytes
) -> None:
    body = b"0\r\n\r\n" if head else b"{}"

    def refuse(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(
            b"HTTP/1.1 " + status + b"\r\n" + (head or b"Content-Length: 2\r\n") + b"\r\n" + body
        )
        # It doesn't say so, but what comes next here has no answer.
        read_request(connection)

    server = serving(refuse)
    client = client_of(server.url)
    for _ in range(2):
        outcome = client.send_body(b"x" * 1000)
        assert (outcome.status, outcome.ambiguous) == (int(status[:3]), False)
    assert server.connections == 2


@pytest.mark.parametrize("answer", [b"", b"\r\n", b"SSH-2.0\r\n", HINTS, OK, b"HTTP/1.1 307 There\r\n\r\n"])
def test_a_broken_request_without_a_refusal_was_not_sent_whole(
    serving: Any, client_of: Any, answer: bytes
) -> None:
    outcome = client_of(serving(refusing(answer)).url).send_body(b"x" * 8_000_000)
    assert_transient(outcome, "WriteFailed", ambiguous=False)
    assert outcome.message.startswith("The request was not sent whole: ")
