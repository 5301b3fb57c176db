"""A line to a server that carries so many bytes a second, and no more."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = 16 * 1024


@contextmanager
def slow_line(port: int, rate: float) -> Iterator[int]:
    """Forward to a port of loopback: requests at `rate` bytes a second, answers at once; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Else loopback swallows megabytes before a writer notices.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        threading.Thread(target=_accept, args=(listener, port, rate), daemon=True).start()
        yield int(listener.getsockname()[1])


def _accept(listener: socket.socket, port: int, rate: float) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=_copy, args=(client, server, rate), daemon=True).start()
        threading.Thread(target=_copy, args=(server, client, 0.0), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket, rate: float) -> None:
    with source, sink:
        try:
            while data := source.recv(_PIECE):
                if rate:
                    time.sleep(len(data) / rate)
                sink.sendall(data)
        except OSError:
            return
