"""An SES that is out: at its port a server that answers 503, or nobody at all."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Unavailable(BaseHTTPRequestHandler):
    """Answers everything with 503, and notes when it was asked to send."""

    protocol_version = "HTTP/1.1"
    asked: list[float]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(time.time())
        self._refuse()

    def do_GET(self) -> None:
        self._refuse()

    def _refuse(self) -> None:
        body = b'{"message": "Service is unavailable"}'
        self.send_response(503)
        self.send_header("x-amzn-ErrorType", "ServiceUnavailable")
        self.send_header("Content-Length", str(len(body)))
        # One that was kept would be answered long after this server is gone.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes many connections at once: one beyond the backlog would come a second late."""

    request_queue_size = 256
    daemon_threads = True


@contextmanager
def unavailable(port: int) -> Iterator[list[float]]:
    """Answer 503 at `port` until the block is left; yields the moments of attempts (epoch seconds)."""
    asked: list[float] = []
    handler = type("Handler", (Unavailable,), {"asked": asked})
    server = Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Fickle(asyncio.Protocol):
    """One connection to an SES that takes every mail, or answers 503, as its world says."""

    def __init__(self, world: FickleSes) -> None:
        self._world = world
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._world.transports.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._world.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if end and len(body) >= (int(length[1]) if length else 0):
            self._seen = b""
            asyncio.get_running_loop().call_later(
                self._world.latency, self._answer, self._world.asked(head.startswith(b"POST"))
            )

    def _answer(self, answer: bytes) -> None:
        self._transport.write(answer)


class FickleSes:
    """Takes mails until `out` is set, then answers 503 to each, and counts them: a context manager."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency, self.out = latency, False
        self.taken = self.refused = 0
        self.transports: set[asyncio.BaseTransport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def asked(self, to_send: bool) -> bytes:
        if to_send and self.out:
            self.refused += 1
            return _answer(b"503 Service Unavailable", b'{"message": "Out"}', b"ServiceUnavailable")
        if not to_send:
            return _answer(b"403 Forbidden", b'{"message": "No"}', b"AccessDeniedException")
        self.taken += 1
        return _answer(b"200 OK", b'{"MessageId": "m-%d"}' % self.taken)

    def vanish(self) -> None:
        """Refuse connections from now on, and break off those there are."""
        asyncio.run_coroutine_threadsafe(self._vanish(), self._loop).result()

    async def _vanish(self) -> None:
        self._server.close()
        for transport in list(self.transports):
            transport.abort()  # type: ignore[attr-defined]

    def __enter__(self) -> Self:
        self._thread.start()
        starting = self._loop.create_server(lambda: Fickle(self), "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _answer(status: bytes, body: bytes, error: bytes = b"") -> bytes:
    kind = b"x-amzn-ErrorType: %s\r\n" % error if error else b""
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, kind, len(body), body)
