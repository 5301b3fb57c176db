"""The client against real sockets: deadlines, broken connections, TLS, proxies, and a hostile environment."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient, summary
from rq_ses_worker.ses.sigv4 import Credentials
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.certificates import CA, CERTIFICATE_AND_KEY

SECRET = "secret/of+the/tests/0123456789abcdefghij"
CREDENTIALS = Credentials("AKIDOFTHETESTS", SECRET)
BODY = b'{"Content":{}}'
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"MessageId":"m-1"}'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{"MessageId":"m-1"}\r\n0\r\n\r\n'
TIMEOUT = 0.4
SLACK = 1.0
"""Seconds a loaded machine may be late; a missed deadline would be later by far, or never come."""

Handler = Callable[[socket.socket], None]


class Server:
    """Accept connections on loopback and run `handler` on each in a thread, until closed."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._context = context
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0

    @property
    def url(self) -> str:
        scheme, host = ("http", "127.0.0.1") if self._context is None else ("https", "localhost")
        return f"{scheme}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(10)

    def _start(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._context is None:
                    self._handler(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as encrypted:
                        self._open.append(encrypted)
                        self._handler(encrypted)
            except OSError:
                return


def read_request(connection: socket.socket) -> bytes:
    """Return one whole request, b"" if the client closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    missing = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0) - len(body)
    while missing > 0:
        piece = connection.recv(65_536)
        received += piece
        missing -= len(piece)
    return received


class Answering:
    """Answer every request of a connection with `answer`, keeping what was asked."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        while request := read_request(connection):
            self.requests.append(request)
            connection.sendall(self.answer)


def once(answer: bytes) -> Handler:
    """Answer one request with the bytes given and close."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return handle


def dripping(prefix: bytes, drop: bytes) -> Handler:
    """Answer with `prefix`, then one `drop` every 50 ms for ever."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(prefix)
        while True:
            time.sleep(0.05)
            connection.sendall(drop)

    return handle


def silent(connection: socket.socket) -> None:
    """Read for ever, answer nothing."""
    while connection.recv(65_536):
        pass


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    with ExitStack() as servers:
        yield lambda handler, context=None: servers.enter_context(Server(handler, context))


@pytest.fixture
def client_of() -> Iterator[Callable[..., SesClient]]:
    with ExitStack() as clients:

        def make(url: str, timeout: float = 5.0, **settings: Any) -> SesClient:
            return clients.enter_context(SesClient(CREDENTIALS, "us-east-1", url, timeout, **settings))

        yield make


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE_AND_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(CA)
    return str(path)


def failed_in_time(client: SesClient, timeout: float = TIMEOUT, body: bytes = BODY) -> Outcome:
    started = time.monotonic()
    outcome = client.send_body(body)
    took = time.monotonic() - started
    assert timeout * 0.9 <= took < timeout + SLACK
    return outcome


def assert_transient(outcome: Outcome, code: str, *, ambiguous: bool) -> None:
    assert type(outcome) is Transient
    assert (outcome.code, outcome.ambiguous, outcome.status) == (code, ambiguous, None)


# Connections


def test_mails_go_over_one_kept_connection(serving: Any, client_of: Any) -> None:
    handler = Answering()
    server = serving(handler)
    client = client_of(f"{server.url}/prefix")
    assert [client.send_body(BODY) for _ in range(20)] == [Sent(200, message_id="m-1")] * 20
    assert server.connections == 1
    head, _, body = handler.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /prefix/v2/email/outbound-emails HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in head
    assert body == BODY


def test_threads_share_the_pool_and_get_their_own_answers(serving: Any, client_of: Any) -> None:
    def echo(connection: socket.socket) -> None:
        while request := read_request(connection):
            answer = b'{"MessageId":"%s"}' % request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    server = serving(echo)
    client = client_of(server.url, pool_size=8)
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda number: client.send_body(b"n-%d" % number), range(200)))
    assert [outcome.message_id for outcome in sent] == [f"n-{number}" for number in range(200)]
    assert server.connections <= 8


def test_a_kept_connection_that_the_server_closed_is_replaced_silently(serving: Any, client_of: Any) -> None:
    closed = threading.Event()

    def close_after_one(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)
        connection.close()
        closed.set()

    server = serving(close_after_one)
    client = client_of(server.url)
    for _ in range(3):
        closed.clear()
        assert client.send_body(BODY) == Sent(200, message_id="m-1")
        assert closed.wait(5)
    assert server.connections == 3


def test_a_connection_idle_for_too_long_is_replaced(
    serving: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving(Answering())
    client = client_of(server.url)
    client.send_body(BODY)
    monkeypatch.setattr("rq_ses_worker.ses.wire.connection._IDLE_LIMIT", 0.0)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert server.connections == 2


def test_a_closed_client_lets_its_connections_go(serving: Any) -> None:
    gone = threading.Event()

    def wait_for_end(connection: socket.socket) -> None:
        Answering()(connection)
        gone.set()

    with SesClient(CREDENTIALS, "us-east-1", serving(wait_for_end).url) as client:
        client.send_body(BODY)
        assert not gone.is_set()
    assert gone.wait(5)
    assert_transient(client.send_body(BODY), "ClientClosed", ambiguous=False)


# Deadlines


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


# Broken connections and answers


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


# Interim answers (RFC 9110, section 15.2)


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Y: z\r\n\r\n"
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


# What refuses a request before it has it


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


# Large mails


def reading(rate: float, answer: bytes | None) -> Handler:
    """Read at so many bytes a second, then answer, or never do."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        received, began, length = b"", time.monotonic(), 0
        total = 0
        while not length or total < length:
            piece = connection.recv(16_384)
            if not piece:
                return
            total += len(piece)
            if not length:
                received += piece
                head, end, _ = received.partition(b"\r\n\r\n")
                if end:
                    body = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    length = len(head) + 4 + body
            time.sleep(max(0.0, began + total / rate - time.monotonic()))
        if answer is None:
            connection.recv(1)
        else:
            connection.sendall(answer)

    return handle


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_large_mail_has_the_time_that_its_bytes_take(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, encrypted: bool
) -> None:
    server = serving(reading(8_000_000, OK), tls if encrypted else None)
    body = b"x" * 12_000_000
    client = client_of(server.url, TIMEOUT, min_upload_rate=1_000_000, ca_bundle=ca)
    began = time.monotonic()
    assert client.send_body(body) == Sent(200, message_id="m-1")
    assert time.monotonic() - began > 2 * TIMEOUT


def test_a_mail_that_goes_out_too_slowly_is_not_sent_and_the_error_tells_the_seconds(
    serving: Any, client_of: Any
) -> None:
    client = client_of(serving(reading(1_000_000, OK)).url, TIMEOUT, min_upload_rate=20_000_000)
    outcome = failed_in_time(client, TIMEOUT + 1.0, b"x" * 20_000_000)
    assert_transient(outcome, "WriteTimeout", ambiguous=False)
    assert outcome.message == "The request was not sent whole: it took longer than 1.4 s."


def test_an_answer_to_a_large_mail_that_never_comes_is_in_doubt_and_the_error_tells_the_seconds(
    serving: Any, client_of: Any
) -> None:
    client = client_of(serving(reading(1e9, None)).url, TIMEOUT, min_upload_rate=2_000_000)
    outcome = failed_in_time(client, TIMEOUT + 0.5, b"x" * 1_000_000)
    assert_transient(outcome, "ReadTimeout", ambiguous=True)
    assert outcome.message == "No answer within 0.9 s."


def test_a_gateway_that_takes_a_large_mail_at_once_has_time_to_hand_it_on(
    serving: Any, client_of: Any
) -> None:
    def gateway(connection: socket.socket) -> None:
        read_request(connection)
        time.sleep(2 * TIMEOUT)
        connection.sendall(OK)

    client = client_of(serving(gateway).url, TIMEOUT, min_upload_rate=100_000)
    assert client.send_body(b"x" * 1_000_000) == Sent(200, message_id="m-1")


def test_a_connection_for_a_large_mail_is_waited_for_no_longer_than_for_a_small_one(
    serving: Any, client_of: Any
) -> None:
    server = serving(silent)
    client = client_of(f"https://localhost:{server.port}", TIMEOUT, min_upload_rate=1000)
    outcome = failed_in_time(client, TIMEOUT, b"x" * 1_000_000)
    assert_transient(outcome, "TlsHandshakeFailed", ambiguous=False)
    assert f"it took longer than {TIMEOUT:g} s" in outcome.message


def test_a_process_that_was_forked_does_not_share_the_connections_it_inherits(
    serving: Any, client_of: Any
) -> None:
    def naming(connection: socket.socket) -> None:
        while request := read_request(connection):
            answer = b'{"MessageId":"%s"}' % request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    server = serving(naming)
    client = client_of(server.url)
    assert client.send_body(b"before").message_id == "before"
    child = os.fork()
    if not child:
        own = [client.send_body(b"child-%d" % n).message_id == f"child-{n}" for n in range(50)]
        os._exit(0 if all(own) else 1)
    assert [client.send_body(b"own-%d" % n).message_id for n in range(50)] == [f"own-{n}" for n in range(50)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.connections == 2


def test_a_workers_pool_has_room_for_its_threads_and_the_one_that_asks_for_limits(
    serving: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    together = threading.Barrier(5)

    def at_once(connection: socket.socket) -> None:
        while read_request(connection):
            together.wait(20)
            connection.sendall(OK)

    for name, value in (("AWS_ACCESS_KEY_ID", "AKIDOFTHETESTS"), ("AWS_SECRET_ACCESS_KEY", SECRET)):
        monkeypatch.setenv(name, value)
    settings = load_worker_settings(base_url=serving(at_once).url, aws_region="us-east-1", concurrency=4)
    with settings.client() as client, ThreadPoolExecutor(5) as threads, caplog.at_level(logging.WARNING):
        for _ in range(3):
            asked = threads.submit(client.get_account)
            assert list(threads.map(client.send_body, [BODY] * 4)) == [Sent(200, message_id="m-1")] * 4
            assert asked.exception(20)
    assert "pool is full" not in caplog.text


def test_idle_connections_are_closed_when_told_and_made_anew(serving: Any, client_of: Any) -> None:
    server = serving(Answering())
    client = client_of(server.url, pool_size=4)
    for _ in range(2):
        assert client.send_body(BODY) == Sent(200, message_id="m-1")
        client.close_idle()
    assert server.connections == 2
    client.close()
    client.close_idle()


# TLS


def test_over_tls_mails_go_over_one_kept_connection(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str
) -> None:
    server = serving(Answering(), tls)
    client = client_of(server.url, ca_bundle=ca)
    assert [client.send_body(BODY) for _ in range(5)] == [Sent(200, message_id="m-1")] * 5
    assert server.connections == 1


def test_a_certificate_of_an_unknown_authority_is_refused_for_good(
    serving: Any, client_of: Any, tls: ssl.SSLContext
) -> None:
    handler = Answering()
    outcome = client_of(serving(handler, tls).url).send_body(BODY)
    assert type(outcome) is Terminal
    assert outcome.code == "CertificateRefused"
    assert "issuer" in outcome.message
    assert handler.requests == []


def test_a_certificate_for_another_name_is_refused_for_good(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str
) -> None:
    server = serving(Answering(), tls)
    outcome = client_of(f"https://127.0.0.1:{server.port}", ca_bundle=ca).send_body(BODY)
    assert type(outcome) is Terminal
    assert outcome.code == "CertificateRefused"


def speak_plain(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(OK)


def hang_up_at_once(connection: socket.socket) -> None:
    connection.recv(65_536)


@pytest.mark.parametrize("handler", [hang_up_at_once, speak_plain])
def test_a_handshake_that_is_broken_off_is_certainly_not_sent(
    serving: Any, client_of: Any, handler: Handler
) -> None:
    server = serving(handler)
    outcome = client_of(f"https://localhost:{server.port}").send_body(BODY)
    assert_transient(outcome, "TlsHandshakeFailed", ambiguous=False)


# Proxies


class TunnelProxy:
    """A proxy that opens tunnels to one port, if it is asked with the password."""

    def __init__(self, port: int, authorization: bytes = b"") -> None:
        self._port = port
        self._authorization = authorization
        self.asked: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        asked = read_request(connection)
        self.asked.append(asked)
        if self._authorization not in asked:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(onward, connection))
            back.start()
            _pump(connection, onward)
            back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


# "user:pass word" in base64
PROXY_PASSWORD = b"Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n"


@pytest.mark.parametrize("encrypted", [False, True], ids=["http proxy", "https proxy"])
def test_https_goes_through_a_tunnel_of_the_proxy_which_alone_sees_its_password(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, encrypted: bool
) -> None:
    handler = Answering()
    server = serving(handler, tls)
    tunnel = TunnelProxy(server.port, PROXY_PASSWORD)
    proxy = serving(tunnel, tls if encrypted else None)
    address = proxy.url.replace("://", "://user:pass%20word@")
    client = client_of(server.url, ca_bundle=ca, proxy=address)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert len(tunnel.asked) == 1
    assert tunnel.asked[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.".encode())
    assert not any(b"proxy-authorization" in request.lower() for request in handler.requests)


def test_http_is_forwarded_by_the_proxy_with_the_host_that_was_signed(serving: Any, client_of: Any) -> None:
    forwarding = Answering()
    proxy = serving(forwarding)
    client = client_of("http://ses.localhost:9/x", proxy=f"http://user:pass%20word@127.0.0.1:{proxy.port}")
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    (request,) = forwarding.requests
    assert request.startswith(b"POST http://ses.localhost:9/x/v2/email/outbound-emails HTTP/1.1\r\n")
    assert b"\r\nHost: ses.localhost:9\r\n" in request
    assert PROXY_PASSWORD in request


def test_a_proxy_that_refuses_is_certainly_not_sent_and_its_password_shown_nowhere(
    serving: Any, client_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = serving(TunnelProxy(9, b"never"))
    client = client_of("https://ses.localhost", proxy=f"http://user:hunter2@127.0.0.1:{proxy.port}")
    outcome = client.send_body(BODY)
    assert_transient(outcome, "ProxyError", ambiguous=False)
    assert "407 Proxy Authentication Required" in outcome.message
    assert "hunter2" not in f"{client!r} {summary(outcome)} {outcome.message} {caplog.text}"


def test_a_proxy_that_is_away_silent_or_hangs_up_is_certainly_not_sent(serving: Any, client_of: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in ("https://ses.localhost", "http://ses.localhost"):
        away = client_of(url, proxy=f"http://127.0.0.1:{port}").send_body(BODY)
        assert_transient(away, "ProxyError", ambiguous=False)
        assert away.message == "The proxy did not connect: Connection refused."
    mute = client_of("https://ses.localhost", TIMEOUT, proxy=serving(silent).url)
    outcome = failed_in_time(mute)
    assert_transient(outcome, "ProxyError", ambiguous=False)
    assert outcome.message == f"The proxy did not connect: it took longer than {TIMEOUT:g} s."
    closing = client_of("https://ses.localhost", proxy=serving(once(b"")).url)
    assert_transient(closing.send_body(BODY), "ProxyError", ambiguous=False)


# The environment


def test_nothing_in_the_environment_changes_what_is_sent(
    serving: Any,
    client_of: Any,
    tls: ssl.SSLContext,
    ca: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login evil password evil\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, str(tmp_path / name / "missing"))
    handler = Answering()
    client = client_of(serving(handler, tls).url, ca_bundle=ca)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert b"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDOFTHETESTS/" in handler.requests[0]
    plain = Answering()
    assert client_of(serving(plain).url.replace("127.0.0.1", "localhost")).send_body(BODY) == Sent(
        200, message_id="m-1"
    )
    assert plain.requests[0].count(b"Authorization") == 1


def test_a_trusted_authority_of_the_environment_is_not_trusted(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, ca)
    assert client_of(serving(Answering(), tls).url).send_body(BODY).code == "CertificateRefused"


def test_a_redirect_is_not_followed_and_a_cookie_not_returned(serving: Any, client_of: Any) -> None:
    elsewhere = Answering()
    target = serving(elsewhere).url
    handler = Answering(
        b"HTTP/1.1 307 Temporary Redirect\r\nSet-Cookie: a=b; Path=/\r\n"
        b"Location: %s/\r\nContent-Length: 0\r\n\r\n" % target.encode()
    )
    client = client_of(serving(handler).url)
    for _ in range(2):
        assert client.send_body(BODY) == Terminal(307)
    assert elsewhere.requests == []
    assert not any(b"cookie" in request.lower() for request in handler.requests)
