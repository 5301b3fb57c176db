"""The worker's HTTP server: /metrics, /healthz and /readyz, for Prometheus and for whoever runs the worker.

It answers strangers on a network: few at a time, each for a few seconds, no secret and no address among the
answers. Whatever they do, /healthz has room: it asks nobody, and who sends a request is never behind those
who only hold a connection. It stands in a thread of a worker, or, beside several worker processes, in a
process of its own.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from rq_ses.errors import SettingsError
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.listening import Listening
from rq_ses_worker.monitoring.shared import SharedReader
from rq_ses_worker.monitoring.tally import Board
from rq_ses_worker.monitoring.vitals import why_not_ready, why_unhealthy

log = logging.getLogger(__name__)

MOST_UNREAD: Final = 32
"""Connections whose request is still to be read; for one more the oldest is closed."""

MOST_PAGES: Final = 8
"""Requests at a time to a page that asks Redis; one more is answered with 503."""

IDLE_SECONDS: Final = 5.0
"""Seconds a connection may do nothing."""

_HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a request that are read; http.server alone would take megabytes."""

_PLAIN: Final = "text/plain; charset=utf-8"

Page = tuple[int, str, bytes]
"""HTTP status, content type, body."""


class Monitor:
    """Serves what a board of tallies and Redis tell. Raises SettingsError if it can't listen there.

    Args:
        listening: where.
        board: the worker processes' tallies.
        shared: reads what stands in Redis.
    """

    def __init__(self, listening: Listening, board: Board, shared: SharedReader) -> None:
        self._board = board
        self._shared = shared
        self._pages: dict[str, Callable[[], Page]] = {
            "/metrics": _bounded(self._metrics),
            "/healthz": self._healthz,
            "/readyz": _bounded(self._readyz),
        }
        try:
            self._server = _Server(listening, self._pages)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise SettingsError(
                [f"RQ_SES_METRICS: can't listen on {listening}: {reason}; choose another"]
            ) from exc

    @property
    def url(self) -> str:
        """Where it is, with the port it was given."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else host
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def start(self) -> None:
        """Serve in a thread of its own, until this process ends."""
        threading.Thread(target=self.serve, name="monitor", daemon=True).start()

    def serve(self) -> None:
        """Serve until `stop`."""
        self._server.serve_forever(poll_interval=0.5)

    def stop(self) -> None:
        """Serve no more, and close the port; for a monitor that was started."""
        self._server.shutdown()
        self.detach()

    def detach(self) -> None:
        """Close the port in this process; one that was forked from it may go on."""
        self._server.server_close()

    def _metrics(self) -> Page:
        # Here, so that a worker without metrics doesn't carry prometheus_client.
        from rq_ses_worker.monitoring.metrics import CONTENT_TYPE, render

        return 200, CONTENT_TYPE, render(self._readings(), self._shared.read())

    def _healthz(self) -> Page:
        return _verdict(why_unhealthy(self._readings(), time.monotonic()))

    def _readyz(self) -> Page:
        shared = self._shared.read()
        answers = shared is not None
        gate = shared.gate if shared else None
        return _verdict(why_not_ready(self._readings(), time.monotonic(), gate, redis_answers=answers))

    def _readings(self) -> list[Any]:
        return [tally.read() for tally in self._board.tallies]


def _verdict(troubles: Sequence[str]) -> Page:
    return (503 if troubles else 200), _PLAIN, ("\n".join(troubles or ["ok"]) + "\n").encode()


def _bounded(page: Callable[[], Page]) -> Callable[[], Page]:
    room = threading.Semaphore(MOST_PAGES)

    def bounded() -> Page:
        if not room.acquire(blocking=False):
            return 503, _PLAIN, b"too many requests at a time\n"
        try:
            return page()
        finally:
            room.release()

    return bounded


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, listening: Listening, pages: dict[str, Callable[[], Page]]) -> None:
        self.pages = pages
        self._unread: dict[int, socket.socket] = {}
        self._changing = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
        super().__init__((listening.host, listening.port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look this host's name up, which may take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            if len(self._unread) >= MOST_UNREAD:
                oldest = self._unread.pop(next(iter(self._unread)))
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._unread[id(request)] = request
        super().process_request(request, client_address)

    def read(self, request: Any) -> bool:
        """Tell that a request was read to its end; False if it had to make room."""
        with self._changing:
            return self._unread.pop(id(request), None) is not None

    def shutdown_request(self, request: Any) -> None:
        with self._changing:
            self._unread.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        # A client that hung up, as a rule; its address is nobody's business.
        events.MONITOR_FAILED.log(log, trace=True)


class _Head:
    """Lines of a request, up to a limit: what comes after that is as if it hadn't been sent."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines
        self._left = _HEAD_LIMIT

    def readline(self, limit: int) -> bytes:
        line: bytes = self._lines.readline(min(limit, self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._lines.close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_SECONDS
    server_version = "rq-ses"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _Head(self.rfile)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if not self.server.read(self.request):
            return
        page = self.server.pages.get(self.path.partition("?")[0])
        status, kind, body = page() if page else (404, _PLAIN, b"/metrics /healthz /readyz\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
