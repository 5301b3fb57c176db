"""An SES, or what pretends to be it, that puts markup wherever it can."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCRIPT = '<img src="x" onerror="window.ran = 1"><script>window.ran = 1</script>'


class _Hostile(BaseHTTPRequestHandler):
    """Answers like an SES (or what pretends to be it) that puts markup wherever it can."""

    protocol_version = "HTTP/1.1"
    answer = 400

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        words = f"Refused. {SCRIPT} &lt;img src=x onerror=window.ran=1&gt;"
        body = json.dumps({"message": words, "MessageId": SCRIPT}).encode()
        self.send_response(self.answer)
        self.send_header("x-amzn-ErrorType", f"Rejected{SCRIPT}")
        self.send_header("x-amzn-RequestId", SCRIPT)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""


class _HostileThatTakesMails(_Hostile):
    answer = 200


@contextmanager
def hostile_ses(*, takes_mails: bool = False) -> Iterator[str]:
    """Run it until the block is left: it refuses mails, or takes them under an id that is markup."""
    handler = _HostileThatTakesMails if takes_mails else _Hostile
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
