"""Whatever the other side does, an exchange ends with its time, and says whether the mail may be sent."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Sent, Transient
from support.servers.sockets import Answering, Handler, dripping, silent
from support.ses.attempts import BODY, TIMEOUT, assert_transient, failed_in_time


@pytest.mark.parametrize(
    "handler",
    [
        silent,
        dripping(b"", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "status line", "headers", "interim answers"],
)
def test_an_answer_whose_head_is_not_there_in_time_is_ambiguous(
    serving: Any, client_of: Any, handler: Handler
) -> None:
    outcome = failed_in_time(client_of(serving(handler).url, TIMEOUT))
    assert_transient(outcome, "ReadTimeout", ambiguous=True)


@pytest.mark.parametrize(
    ("prefix", "drop"),
    [
        (b'Content-Length: 9999\r\n\r\n{"MessageId":"', b"a"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"\r\n", b"a"),
    ],
    ids=["length", "chunked", "until closed"],
)
def test_a_body_that_drips_for_ever_ends_at_the_deadline_and_the_status_counts(
    serving: Any, client_of: Any, prefix: bytes, drop: bytes
) -> None:
    accepted = client_of(serving(dripping(b"HTTP/1.1 200 OK\r\n" + prefix, drop)).url, TIMEOUT)
    assert failed_in_time(accepted) == Sent(200)
    broken = client_of(serving(dripping(b"HTTP/1.1 502 Bad\r\n" + prefix, drop)).url, TIMEOUT)
    assert failed_in_time(broken) == Transient(502, ambiguous=True)


def test_a_request_that_nobody_reads_ends_at_the_deadline_and_is_certainly_not_sent(
    serving: Any, client_of: Any
) -> None:
    done = threading.Event()
    server = serving(lambda _: done.wait(30))
    try:
        client = client_of(server.url, TIMEOUT, min_upload_rate=1e9)
        outcome = failed_in_time(client, body=b"x" * 40_000_000)
    finally:
        done.set()
    assert_transient(outcome, "WriteTimeout", ambiguous=False)


def test_a_connection_that_is_never_accepted_ends_at_the_deadline(client_of: Any) -> None:
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # a full backlog drops what comes next
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        outcome = failed_in_time(client_of(f"http://127.0.0.1:{listener.getsockname()[1]}", TIMEOUT))
    assert_transient(outcome, "ConnectTimeout", ambiguous=False)


def test_a_resolver_that_does_not_answer_ends_at_the_deadline(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    real = socket.getaddrinfo

    def slow(host: Any, port: Any, *args: Any, flags: int = 0, **options: Any) -> Any:
        if not flags:
            answered.wait(30)
        return real(host, port, *args, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        outcome = failed_in_time(client_of("https://ses.localhost", TIMEOUT))
    finally:
        answered.set()
    assert_transient(outcome, "NameResolutionFailed", ambiguous=False)


def test_an_address_that_swallows_packets_leaves_time_for_the_next(
    serving: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving(Answering())
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        both = [listener.getsockname(), ("127.0.0.1", server.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in both]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert client_of("http://ses.localhost", 1.0).send_body(BODY) == Sent(200, message_id="m-1")


def test_a_handshake_that_is_never_answered_ends_at_the_deadline(serving: Any, client_of: Any) -> None:
    server = serving(silent)
    outcome = failed_in_time(client_of(f"https://localhost:{server.port}", TIMEOUT))
    assert_transient(outcome, "TlsHandshakeFailed", ambiguous=False)


def test_over_tls_a_dripping_answer_ends_at_the_deadline_too(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str
) -> None:
    server = serving(dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), tls)
    outcome = failed_in_time(client_of(server.url, TIMEOUT, ca_bundle=ca))
    assert_transient(outcome, "ReadTimeout", ambiguous=True)
