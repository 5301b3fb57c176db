"""HTTP pages about a process, for Prometheus and for whoever runs it: what serves them, whatever they say.

Strangers on a network are answered: few at a time, each for a few seconds. Whatever they do, a page that asks
nobody has room: who sends a request is never behind those who only hold a connection.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from rq_ses.errors import SettingsError
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.listening import Listening

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


class Pages:
    """Serves pages by their paths. Raises SettingsError if it can't listen there.

    Args:
        listening: where.
        pages: what makes each, by its path.
    """

    def __init__(self, listening: Listening, pages: Mapping[str, Callable[[], Page]]) -> None:
        try:
            self._server = _Server(listening, pages)
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
        """Serve no more, and close the port; for pages that are being served."""
        self._server.shutdown()
        self.detach()

    def detach(self) -> None:
        """Close the port in this process; one that was forked from it may go on."""
        self._server.server_close()


def verdict(troubles: Sequence[str]) -> Page:
    """Return the page that says whether something is well: 503 with a line for each trouble, or 200."""
    return (503 if troubles else 200), _PLAIN, ("\n".join(troubles or ["ok"]) + "\n").encode()


def bounded(page: Callable[[], Page]) -> Callable[[], Page]:
    """Return the page for few at a time."""
    room = threading.Semaphore(MOST_PAGES)

    def answer() -> Page:
        if not room.acquire(blocking=False):
            return 503, _PLAIN, b"too many requests at a time\n"
        try:
            return page()
        finally:
            room.release()

    return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, listening: Listening, pages: Mapping[str, Callable[[], Page]]) -> None:
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
