"""An SES that is out: at its port a server that answers 503, or nobody at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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


@contextmanager
def unavailable(port: int) -> Iterator[list[float]]:
    """Answer 503 at `port` until the block is left; yields the moments of attempts (epoch seconds)."""
    asked: list[float] = []
    handler = type("Handler", (Unavailable,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
