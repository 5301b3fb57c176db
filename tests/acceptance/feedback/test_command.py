"""`rq-ses feedback` as an operator runs it: without a way out, killed, without Redis, set up wrongly."""

from __future__ import annotations

import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from rq_ses.keys import Keys
from rq_ses.suppression.entry import bucket_key
from rq_ses_worker.simulator.events.event import Sent, event
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.topic import Topic
from support.programs.processes import Process, environment, run, running, worker_environment
from support.servers.ports import free_port
from support.ses.sqs import SqsStandIn
from support.waiting import wait_for

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})
EVENTS = "rq:ses:events:job1"


@pytest.fixture(scope="module")
def topic() -> Topic:
    return Topic(signer=Signer.make(), version="2")


@pytest.fixture
def certificate(topic: Topic, tmp_path: Path) -> Path:
    file = tmp_path / topic.signer.name
    file.write_bytes(topic.signer.certificate)
    return file


def ask(port: int, body: bytes | None = None, path: str = "/", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def answers(port: int) -> bool:
    with suppress(OSError):
        return ask(port, path="/healthz")[0] > 0
    return False


def held_back(redis: Redis) -> bool:
    """Tell whether a script waits for the end of a pause."""
    return any(one["cmd"] == "evalsha" and "b" in one["flags"] for one in redis.client_list())


@contextmanager
def serving(
    env: Mapping[str, str], log: Path, topic: Topic, certificate: Path, *options: str, port: int | None = None
) -> Iterator[tuple[Process, int]]:
    port = port or free_port()
    given = ["--topic", topic.arn, "--certificate", str(certificate), *options]
    with running(["feedback", "--bind", str(port), *given], env, log) as process:
        wait_for(lambda: answers(port) or not process.running, what=f"an answer on {port}")
        assert process.running, process.output
        yield process, port


def test_a_signed_bounce_is_stored_and_whatever_else_comes_is_answered(
    redis: Redis, redis_url: str, topic: Topic, certificate: Path, tmp_path: Path
) -> None:
    env = environment(RQ_SES_REDIS_URL=redis_url)
    metrics = free_port()
    with serving(env, tmp_path / "log", topic, certificate, "--log-sent", "--metrics", str(metrics)) as (
        process,
        port,
    ):
        assert ask(port, path="/healthz") == (200, "ok\n")
        body = topic.notification(event("Bounce", MAIL))
        assert [ask(port, body) for _ in "ab"] == [(200, "stored\n"), (200, "stored already\n")]
        assert ask(port, body, **{"x-amz-sns-rawdelivery": "true"})[0] == 200
        assert ask(port, b"{}", **{"x-amz-sns-rawdelivery": "true"})[0] == 503
        assert ask(port, body.replace(b"Permanent", b"Transient"))[0] == 403
        with suppress(OSError):  # a server that doesn't read on may close before it is heard
            assert ask(port, b" " * 1_100_000)[0] == 413
        assert ask(port, b"[" * 500_000)[0] == 400
        assert ask(port, topic.unsubscribe_confirmation())[0] == 200
        told = ask(metrics, path="/metrics")[1]
        assert process.stop() == 0
    assert redis.hget(EVENTS, "state") == b"bounced"
    assert redis.hexists(bucket_key(Keys.default(), "b@example.org"), "b@example.org")
    for line in ("stored", "repeated", "ended"):
        assert f'rq_ses_feedback_messages_total{{result="{line}"}} ' in told
    assert "[feedback.stored]" in process.output
    assert "…@example.org" in process.output
    assert "b@example.org" not in process.output


def test_killed_while_it_stores_an_event_is_stored_once_by_the_repetition(
    redis: Redis, redis_url: str, topic: Topic, certificate: Path, tmp_path: Path
) -> None:
    env, log, port = environment(RQ_SES_REDIS_URL=redis_url), tmp_path / "log", free_port()
    body = topic.notification(event("Bounce", MAIL))
    outcomes: list[Any] = []

    def post() -> None:
        try:
            outcomes.append(ask(port, body))
        except OSError as exc:
            outcomes.append(exc)

    with serving(env, log, topic, certificate, port=port) as (process, _):
        redis.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
        posting = threading.Thread(target=post)
        posting.start()
        wait_for(lambda: held_back(redis), what="the script's being held back")
        process.kill(signal.SIGKILL)
        posting.join()
        redis.execute_command("CLIENT", "UNPAUSE")
    assert isinstance(outcomes[0], OSError)
    with serving(env, log, topic, certificate, port=port):
        assert ask(port, body)[0] == 200
        assert ask(port, body) == (200, "stored already\n")
    assert redis.hgetall(Keys.default().feedback) == {b"Bounce Permanent": b"1"}
    assert redis.hlen(EVENTS) == 2


def test_without_redis_it_asks_for_the_repetition_and_a_queues_messages_stay(
    topic: Topic, certificate: Path, tmp_path: Path
) -> None:
    env = worker_environment(f"redis://127.0.0.1:{free_port()}/0", "http://127.0.0.1:1")
    with SqsStandIn() as sqs:
        sqs.put(topic.notification(event("Bounce", MAIL)))
        with serving(env, tmp_path / "log", topic, certificate, "--queue-url", sqs.url) as (process, port):
            assert ask(port, topic.notification(event("Bounce", MAIL)))[0] == 503
            assert ask(port, path="/healthz")[0] == 503
            wait_for(lambda: "[feedback.unstored]" in process.output)
        assert (sqs.deleted, sqs.refused, len(sqs.left)) == ([], [], 1)


def test_a_queue_is_read_to_its_end(
    redis: Redis, redis_url: str, topic: Topic, certificate: Path, tmp_path: Path
) -> None:
    env = worker_environment(redis_url, "http://127.0.0.1:1")
    with SqsStandIn() as sqs:
        sqs.put(*(topic.notification(event(kind, MAIL)) for kind in ("Send", "Delivery", "Complaint")))
        options = [
            "feedback",
            "--queue-url",
            sqs.url,
            "--topic",
            topic.arn,
            "--certificate",
            str(certificate),
        ]
        with running(options, env, tmp_path / "log") as process:
            wait_for(lambda: len(sqs.deleted) == 3 or not process.running, what="the queue's end")
            assert process.stop() == 0
        assert sqs.left == []
    assert redis.hget(EVENTS, "state") == b"complained"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "RQ_SES_FEEDBACK_TOPICS: is not set"),
        (("--topic", "arn:aws:sns:us-east-1:123456789012:t"), "RQ_SES_FEEDBACK_BIND: is not set, and"),
        (("--topic", "t", "--bind", "8080"), "'t' is not the ARN of a topic"),
        (("--bind", "x:y:z"), "is not where to listen"),
        (("--queue-url", "https://example.com/"), "is not the URL of a queue"),
        (("--certificate", "/nowhere.pem"), "can't be read"),
        (
            ("--topic", "arn:aws:sns:us-east-1:123456789012:t", "--bind", "1", "--raw"),
            "nothing says who sent",
        ),
    ],
)
def test_what_is_set_up_wrongly_is_named(options: tuple[str, ...], problem: str) -> None:
    done = run(["feedback", *options], environment())
    assert (done.returncode, done.stdout) == (3, "")
    assert problem in done.stderr
