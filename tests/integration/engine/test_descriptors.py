"""A process that has no descriptor left: what SES answers is told all the same, Redis is reached again."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE
from support.waiting import wait_for

FILLING = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
def fill():
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return len(held)
"""
FIRST_ANSWER = (
    FILLING
    + """
import json, socket, sys, threading
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.outcome import details, hinted, summary
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.recv(65536)
    assert fill() > 0
    connection.sendall(sys.argv[1].encode("latin-1"))
    connection.shutdown(socket.SHUT_RDWR)
threading.Thread(target=serve, daemon=True).start()
credentials = Credentials("AKIDOFTHETESTS", "secret/of+the/tests/0123456789")
client = SesClient(credentials, Endpoint("us-east-1", f"http://127.0.0.1:{listener.getsockname()[1]}"))
outcome = client.send_body(b"{}")
hinted(summary(outcome), outcome)
print(json.dumps(details(outcome)))
"""
)
FIRST_REQUEST = (
    FILLING
    + """
import json, sys
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.outcome import details
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
credentials = Credentials("AKIDOFTHETESTS", "secret/of+the/tests/0123456789")
client = SesClient(credentials, Endpoint("us-east-1", sys.argv[1]))
fill()
print(json.dumps(details(client.send_body(b"{}"))))
"""
)
WORKER = (
    FILLING
    + """
import sys, threading
from rq_ses_worker.engine.process.building import build_worker
from rq_ses_worker.settings.worker import load_worker_settings
def hog():
    sys.stdin.readline()
    fill()
    print("full", flush=True)
    # What the cut connections leave is gone, too.
    left = int(sys.stdin.readline())
    while left:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
            left -= 1
        except OSError:
            pass
    print("fuller", flush=True)
threading.Thread(target=hog, daemon=True).start()
build_worker(load_worker_settings(lease=3)).work()
"""
)


ENQUEUEING = (
    FILLING
    + """
import json, sys
from rq_ses import Message, Outbox, OutboxUnavailable
outbox = Outbox(sys.argv[1], enqueue_timeout=0.3)
message = Message(sender="a@example.com", to="b@example.com", subject="x", text="x")
assert fill() > 0
error = ""
try:
    outbox.send(message)
except OutboxUnavailable as exc:
    error = str(exc)
for descriptor in held:
    os.close(descriptor)
print(json.dumps({"error": error, "job_id": outbox.send(message).job_id}))
"""
)


def _ran(program: str, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _answer(status: str, body: str, headers: str = "") -> str:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_answer("200 OK", '{"MessageId":"m-1"}'), "sent"),
        (_answer("200 OK", '\xef\xbb\xbf{"MessageId":"\\u00fc\xff'), "sent"),
        (_answer("200 OK", '{"MessageId":"m-1"}', "Content-Encoding: gzip\r\n"), "sent"),
        ("HTTP/1.1 103 Hints\r\n\r\n" + _answer("200 OK", "{}", "X: y\r\nX: z\r\n"), "sent"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "sent"),
        (_answer("429 Slow", "{}", "Retry-After: Thu, 01 Jan 2026 00:00:30 GMT\r\n"), "rate_limited"),
        (_answer("503 Away", "<html>&uuml;</html>", "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"), "transient"),
        (_answer("400 No", '{"__type":"MessageRejected","message":"a@b.example %2B &#43;"}'), "terminal"),
        (_answer("400 No", "<Error><Code>X</Code><Message>&lt;</Message></Error>"), "terminal"),
        (_answer("200 OK", "<html>hello</html>"), "terminal"),
        ("SSH-2.0\r\n", "transient"),
        ("", "transient"),
    ],
)
def test_the_first_answer_is_told_although_no_descriptor_is_left(answer: str, expected: str) -> None:
    found = _ran(FIRST_ANSWER, answer)
    assert found["outcome"] == expected
    assert found.get("code") != "InternalError"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "https://localhost:9"])
def test_a_first_request_without_a_descriptor_is_surely_unsent(url: str) -> None:
    found = _ran(FIRST_REQUEST, url)
    assert (found["outcome"], found["ambiguous"]) == ("transient", False)
    assert found["code"] in ("ConnectionFailed", "NameResolutionFailed")


def test_without_a_descriptor_for_a_connection_redis_is_away(redis_url: str, redis: Redis) -> None:
    told = _ran(ENQUEUEING, redis_url)
    assert "Too many open files" in str(told["error"])
    assert status(redis, str(told["job_id"])) == "queued"


def _limited(
    arguments: list[str], env: dict[str, str], soft: int, hard: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rq_ses", *arguments],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )  # fmt: skip


def test_a_worker_with_too_few_descriptors_says_so_at_its_start(worker_env: dict[str, str]) -> None:
    done = _limited(["worker", "--burst", "--concurrency", "64"], worker_env, 64, 64)
    assert done.returncode == 3
    assert "RQ_SES_CONCURRENCY: 64 threads need" in done.stderr
    assert "the system allows 64: set" in done.stderr
    assert "ulimit -n" in done.stderr


def test_a_worker_raises_its_own_limit_as_far_as_it_may(redis: Redis, worker_env: dict[str, str]) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    done = _limited(["worker", "--burst", "--concurrency", "64"], worker_env, 64, 4096)
    assert done.returncode == 0, done.stderr
    assert status(redis, job_id) == "finished"


def test_idle_connections_to_ses_give_way_to_redis(
    redis: Redis, worker_env: dict[str, str], ses: SimulatorServer, tmp_path: Path
) -> None:
    outbox = Outbox(redis)
    env = {**os.environ, **worker_env, "RQ_SES_CONCURRENCY": "12"}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ours = {client["id"] for client in redis.client_list()}
            first = [receipt.job_id for receipt in outbox.send_many(
                [mail(to=f"slow-0.5.{n}@faults.example") for n in range(12)]
            )]  # fmt: skip
            wait_for(lambda: all(status(redis, job_id) == "finished" for job_id in first))
            print("fill", file=process.stdin, flush=True)
            assert process.stdout.readline() == "full\n"
            theirs = [client for client in redis.client_list() if client["id"] not in ours]
            for client in theirs:
                redis.client_kill_filter(_id=client["id"])
            print(len(theirs), file=process.stdin, flush=True)
            assert process.stdout.readline() == "fuller\n"
            last = outbox.send(mail()).job_id
            wait_for(lambda: status(redis, last) == "finished")
            assert process.poll() is None
        finally:
            process.kill()
    assert len(ses.mails) == 13
