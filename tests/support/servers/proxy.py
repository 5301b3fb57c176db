"""A TCP proxy that loses replies: what the server did stays done, but the client never hears of it."""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class LossyProxy:
    """Forwards to a port of loopback; while `losing` is set, an answer closes the connection instead.

    With `tls` it speaks TLS to its clients, before servers that don't.
    """

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._losing = threading.Event()
        self.lost = 0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def lose_replies(self, losing: bool) -> None:
        (self._losing.set if losing else self._losing.clear)()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                client = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            except OSError:  # a certificate that isn't trusted
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    if replies and self._losing.is_set():
                        self.lost += 1
                        sink.shutdown(socket.SHUT_RDWR)
                        return
                    sink.sendall(data)
            except OSError:
                return
