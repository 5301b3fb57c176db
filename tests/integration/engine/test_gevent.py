"""Processes that gevent has patched: its TLS sockets have other signatures than the standard library's."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from support.mails.mail import status
from support.programs.processes import PATIENCE, environment, worker_environment
from support.servers.certificates import CA, CERTIFICATE_AND_KEY

PATCHED = """
from gevent import monkey
monkey.patch_all()
import json, sys
"""
CLIENT = (
    PATCHED
    + """
from concurrent.futures import ThreadPoolExecutor
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.outcome import details
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.wire.deadline import Timeout
from rq_ses_worker.ses.wire.route import Route
credentials = Credentials("AKIDOFTHETESTS", "secret/of+the/tests/0123456789")
endpoint, route = Endpoint("us-east-1", sys.argv[1]), Route(ca_bundle=sys.argv[2])
with SesClient(credentials, endpoint, route, Timeout(float(sys.argv[3]))) as client:
    outcomes = [client.send_body(b"{}")]
    with ThreadPoolExecutor(4) as threads:
        outcomes += threads.map(client.send_body, [b"x" * size for size in (2, 70_000, 2_000_000)])
print(json.dumps([details(outcome) for outcome in outcomes]))
"""
)
WORKER = (
    PATCHED
    + """
from rq_ses import Message, Outbox
message = Message(sender="a@shop.example", to=["b@shop.example"], subject="s", text="t")
outbox = Outbox(sys.argv[1])
ids = [outbox.send(message).job_id for _ in range(5)]
ids += [receipt.job_id for receipt in outbox.send_many([message] * 15)]
from rq_ses_worker.engine.process.building import build_worker
from rq_ses_worker.settings.worker import load_worker_settings
build_worker(load_worker_settings()).work(burst=True)
print(json.dumps(ids))
"""
)


class _Ses(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    silent = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.silent:
            self._answer(200, b'{"MessageId":"m-1"}')

    def do_GET(self) -> None:
        self._answer(403, b'{"__type":"AccessDeniedException"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


class _Mute(_Ses):
    silent = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.rfile.read(1)


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(CA)
    return str(path)


@pytest.fixture
def https(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of what answers every request, or of what answers none."""
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE_AND_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", _Ses))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _ran(program: str, *arguments: str, env: dict[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_patched_process_sends_over_tls(https: str, ca: str) -> None:
    outcomes = _ran(CLIENT, https, ca, "20", env=environment())
    assert [(one["outcome"], one.get("message_id")) for one in outcomes] == [("sent", "m-1")] * 4


@pytest.mark.parametrize("https", [_Mute], indirect=True)
def test_a_patched_process_waits_for_no_answer_longer_than_it_was_told(https: str, ca: str) -> None:
    outcomes = _ran(CLIENT, https, ca, "0.5", env=environment())
    assert [(one["code"], one["ambiguous"]) for one in outcomes[:2]] == [("ReadTimeout", True)] * 2


def test_a_patched_outbox_and_worker_send_over_tls(https: str, ca: str, redis: Redis, redis_url: str) -> None:
    env = worker_environment(redis_url, https, RQ_SES_CA_BUNDLE=ca)
    ids = _ran(WORKER, redis_url, env=env)
    assert len(ids) == 20
    assert {status(redis, job_id) for job_id in ids} == {"finished"}
