"""Connections that break and answers that are odd: what they mean for the mail."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import RateLimited, Sent, Transient
from support.servers.sockets import Handler, once, read_request
from support.ses.attempts import BODY, assert_transient


def test_a_port_where_nobody_listens_is_certainly_not_sent(client_of: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = client_of(f"http://127.0.0.1:{port}").send_body(BODY)
    assert_transient(outcome, "ConnectionRefused", ambiguous=False)


def test_a_name_without_an_address_is_certainly_not_sent(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    outcome = client_of("https://ses.localhost").send_body(BODY)
    assert_transient(outcome, "NameResolutionFailed", ambiguous=False)
    assert "Name or service not known" in outcome.message


def reset(connection: socket.socket) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("handler", [once(b""), reset, once(b"HTTP/1.1 2")], ids=["close", "reset", "cut"])
def test_a_connection_that_breaks_after_the_request_left_is_ambiguous(
    serving: Any, client_of: Any, handler: Handler
) -> None:
    server = serving(handler)
    outcome = client_of(server.url).send_body(BODY)
    assert type(outcome) is Transient
    assert outcome.ambiguous
    assert server.connections == 1


def test_a_connection_that_breaks_while_the_request_is_sent_is_not_ambiguous(
    serving: Any, client_of: Any
) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    outcome = client_of(serving(hang_up).url).send_body(b"x" * 40_000_000)
    assert_transient(outcome, "WriteFailed", ambiguous=False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_ambiguous(serving: Any, client_of: Any, answer: bytes) -> None:
    outcome = client_of(serving(once(answer)).url).send_body(BODY)
    assert_transient(outcome, "InvalidAnswer", ambiguous=True)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"MessageId":"m-1","x":',
        b'HTTP/1.1 200 OK\r\n\r\n{"MessageId":"m-1"}',
        b'HTTP/1.0 200 OK\r\nContent-Length: 19\r\n\r\n{"MessageId":"m-1"}',
        b'HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{"MessageId":"m-1"}\r\n0\r\n\r\n',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"MessageId":"m-1"}',
        b'HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nno colon\r\nContent-Length: 19\r\n\r\n{"MessageId":"m-1"}',
        b'HTTP/1.1 200 OK\nContent-Length: 19\n\n{"MessageId":"m-1"}',
    ],
)
def test_odd_but_readable_answers_are_read(serving: Any, client_of: Any, answer: bytes) -> None:
    assert client_of(serving(once(answer)).url).send_body(BODY) == Sent(200, message_id="m-1")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_an_accepted_mail_with_an_unreadable_body_is_sent(
    serving: Any, client_of: Any, answer: bytes
) -> None:
    outcome = client_of(serving(once(answer)).url).send_body(BODY)
    assert type(outcome) is Sent
    assert outcome.message_id is None


def test_an_endless_body_is_read_to_a_bound(serving: Any, client_of: Any) -> None:
    def flood(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 429 Slow\r\n\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    assert client_of(serving(flood).url).send_body(BODY) == RateLimited(429)
