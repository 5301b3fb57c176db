"""Servers on loopback that answer by hand, byte for byte, and the ways in which they do."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from support.waiting import PATIENCE

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"MessageId":"m-1"}'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{"MessageId":"m-1"}\r\n0\r\n\r\n'
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Y: z\r\n\r\n"
"""An interim answer (RFC 9110, section 15.2)."""

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
            thread.join(PATIENCE)

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
