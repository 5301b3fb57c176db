"""Events over HTTP: the command posts them, signed, to a server that confirms, is away and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from support.ses.signed_requests import send
from support.waiting import PATIENCE, wait_for

COMMAND = (
    "import sys; from rq_ses_worker.simulator.cli import simulator; simulator(sys.argv[1:], prog_name='x')"
)
MEMBERS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


class App(ThreadingHTTPServer):
    """Keeps what is posted to it, and answers with `statuses`, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[dict[str, Any]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ses/events"


class Handler(BaseHTTPRequestHandler):
    server: App

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.posts.append({"path": self.path, "headers": dict(self.headers), **json.loads(body)})
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def settled(http: requests.Session, url: str) -> dict[str, Any] | None:
    """Return what was told, once six posts have been answered."""
    told: dict[str, Any] = http.get(f"{url}/_simulator/events").json()
    attempts = sum(one["attempts"] for event in told["events"] for one in event["deliveries"])
    return told if attempts == 6 else None


@pytest.fixture
def app() -> Iterator[App]:
    server = App()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_posts_signed_events_whose_certificate_is_in_the_file(
    http: requests.Session, app: App, tmp_path: Path
) -> None:
    certificate = tmp_path / "SimpleNotificationService-0a1b.pem"
    options = ("--port", "0", "--events", app.url, "--events-signature", "2", "--events-repeat", "1")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_SES_"))}
    app.statuses = [200, 503]  # the confirmation is taken, the first event not at once
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *options, "--events-certificate", str(certificate)],
        env=plain, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("simulator listening on ").rstrip("\n")
        assert send(http, url, "bounce@simulator.amazonses.com").status_code == 200
        posts = wait_for(lambda: app.posts if len(app.posts) == 6 else None, what="six posts")
        assert http.get(posts[0]["SubscribeURL"]).status_code == 200
        told = wait_for(lambda: settled(http, url), what="the last answer")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert posts[0]["SubscribeURL"].startswith(f"{url}/?Action=ConfirmSubscription&")
    assert {one["path"] for one in posts} == {"/ses/events"}
    assert posts[0]["headers"]["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    events = posts[1:]
    key = load_pem_x509_certificate(certificate.read_bytes()).public_key()
    assert isinstance(key, RSAPublicKey)
    for one in events:
        assert one["SigningCertURL"] == f"https://sns.us-east-1.amazonaws.com/{certificate.name}"
        signed = "".join(f"{name}\n{one[name]}\n" for name in MEMBERS).encode()
        key.verify(b64decode(one["Signature"]), signed, PKCS1v15(), SHA256())
    kinds = [json.loads(one["Message"])["eventType"] for one in events]
    # Both come twice, and that which wasn't taken comes once more, when others have gone before it.
    assert sorted(kinds) == ["Bounce"] * 2 + ["Send"] * 3
    assert (kinds[0], kinds[-1]) == ("Send", "Send")
    assert told["targets"] == [{"target": app.url, "confirmed": True, "dropped": 0}]
    assert [one["deliveries"][0]["state"] for one in told["events"][1:]] == ["taken 2 times"] * 2
    assert [one["deliveries"][0]["attempts"] for one in told["events"][1:]] == [3, 2]


def test_a_file_that_cant_be_written_is_told_before_anything_is_served(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--port", "0", "--events-certificate",
         str(tmp_path / "absent" / "SimpleNotificationService-0a.pem")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "No such file or directory. Name another file." in done.stderr
