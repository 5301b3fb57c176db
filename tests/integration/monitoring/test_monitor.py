"""The worker's HTTP server over a real Valkey: pages, bounds, and what it does without Redis."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from rq_ses import Outbox
from rq_ses.errors import SettingsError
from rq_ses.gate import open_breaker
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.monitoring.listening import read_listening
from rq_ses_worker.monitoring.pages import MOST_PAGES, MOST_UNREAD
from rq_ses_worker.monitoring.server import Monitor
from rq_ses_worker.monitoring.shared import SharedReader
from rq_ses_worker.monitoring.tally import Board
from rq_ses_worker.ses.account import Account
from rq_ses_worker.ses.outcome import Sent, Terminal
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.waiting import wait_for

QUEUES = ("mail-high", "mail", "mail-bulk")
METRICS_PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
Serve = Callable[[str], Monitor]


@pytest.fixture
def board() -> Board:
    board = Board(2)
    for tally in board.tallies:
        tally.enter()
        tally.turn("working")
    return board


@pytest.fixture
def serve(board: Board) -> Iterator[Serve]:
    running = []

    def start(redis_url: str) -> Monitor:
        shared = SharedReader(redis_url, QUEUES, "default", "us-east-1")
        monitor = Monitor(read_listening("0"), board, shared)
        monitor.start()
        running.append(monitor)
        return monitor

    yield start
    for monitor in running:
        monitor.stop()


@pytest.fixture
def monitor(serve: Serve, redis_url: str) -> Monitor:
    return serve(redis_url)


def ask(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(monitor.url).netloc, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def samples(text: str) -> dict[str, float]:
    """Return the values of an exposition by `name{label="value",…}`, labels in order."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def ended(outcome: Sent | Terminal) -> Settlement:
    now = datetime.now(UTC)
    return Settlement(
        Lease(0, "a", "b"), "sent", now, {}, {}, time.monotonic(), seconds=0.02, outcome=outcome
    )


def test_what_processes_count_is_summed(monitor: Monitor, board: Board) -> None:
    for tally in board.tallies:
        batch = [ended(Sent(200)), ended(Sent(200)), ended(Terminal(400, "MessageRejected"))]
        tally.attempted(batch)
        tally.settled(batch, ["done", "done", "lost"])
        tally.pulse(3, 1)
    status, text = ask(monitor, "/metrics")
    assert status == 200
    found = samples(text)
    assert found['rq_ses_outcomes_total{code="",outcome="sent"}'] == 4
    assert found['rq_ses_outcomes_total{code="MessageRejected",outcome="terminal"}'] == 2
    assert found['rq_ses_outcomes_total{code="other",outcome="transient"}'] == 0
    assert found['rq_ses_settled_total{action="sent"}'] == 4
    assert found["rq_ses_exchange_seconds_count"] == 6
    assert found["rq_ses_exchange_seconds_sum"] == pytest.approx(0.12)
    assert found['rq_ses_exchange_seconds_bucket{le="0.01"}'] == 0
    assert found['rq_ses_exchange_seconds_bucket{le="0.025"}'] == 6
    assert found["rq_ses_settle_lag_seconds_count"] == 4
    assert found["rq_ses_in_flight"] == 6
    assert found["rq_ses_unsettled"] == 2


def stands(redis: Redis) -> dict[bytes, Any]:
    """Return all that stands in Redis; hashes by their fields: Redis 7.0 moves these around."""
    keys: Any = redis.keys("*")
    return {key: redis.hgetall(key) if redis.type(key) == b"hash" else redis.dump(key) for key in keys}


def test_what_stands_in_redis_is_read_when_it_is_asked_for(
    monitor: Monitor, redis: Redis, redis_url: str
) -> None:
    outbox = Outbox(redis_url)
    outbox.send_many([mail(f"user{n}@example.com") for n in range(3)])
    outbox.send(mail(), delay=3600)
    [job_id] = redis.lrange(KEYS.queue("mail"), 0, 0)
    redis.hset(KEYS.job(job_id), "enqueued_at", "2020-01-01T00:00:00.000000Z")
    open_breaker(redis, "default", "us-east-1", "by hand, for anna@example.com")
    redis.set(KEYS.registry("failed", "mail-bulk"), "of another type")
    before = stands(redis)
    _, text = ask(monitor, "/metrics")
    found = samples(text)
    assert found["rq_ses_redis_up"] == 1
    assert found['rq_ses_queue_jobs{queue="mail",state="queued"}'] == 3
    assert found['rq_ses_queue_jobs{queue="mail",state="scheduled"}'] == 1
    assert found['rq_ses_queue_jobs{queue="mail-high",state="queued"}'] == 0
    assert 'rq_ses_queue_jobs{queue="mail-bulk",state="failed"}' not in found
    assert found['rq_ses_queue_oldest_seconds{queue="mail"}'] > 5 * 365 * 86_400
    assert found['rq_ses_queue_oldest_seconds{queue="mail-high"}'] == 0
    assert found['rq_ses_breaker_state{state="open"}'] == 1
    assert found['rq_ses_breaker_state{state="closed"}'] == 0
    assert "anna" not in text
    assert stands(redis) == before


def test_what_stands_in_partitions_is_summed_and_the_gate_is_one(redis: Redis, redis_url: str) -> None:
    prefixes = "{mail0},{mail1}"
    Outbox(redis_url, partitions=prefixes).send_many([mail(f"user{n}@example.com") for n in range(30)])
    open_breaker(redis, "default", "us-east-1", "by hand")
    found = SharedReader(redis_url, QUEUES, "default", "us-east-1", prefixes).read()
    assert found is not None
    assert [(queue.name, queue.queued) for queue in found.queues] == [
        ("mail-high", 0), ("mail", 30), ("mail-bulk", 0)
    ]  # fmt: skip
    assert found.gate is not None
    assert found.gate.breaker == "open"


def test_without_redis_it_says_so_and_shows_the_rest(serve: Serve, board: Board) -> None:
    # It accepts, as a host that is overloaded does, and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monitor = serve(f"redis://:hunter2@127.0.0.1:{silent.getsockname()[1]}/0")
        board.tallies[0].attempted([ended(Sent(200))])
        status, text = ask(monitor, "/metrics")
        assert (status, samples(text)["rq_ses_redis_up"]) == (200, 0)
        assert samples(text)['rq_ses_outcomes_total{code="",outcome="sent"}'] == 1
        assert "rq_ses_queue_jobs{" not in text
        assert ask(monitor, "/healthz") == (200, "ok\n")
        assert ask(monitor, "/readyz") == (503, "Redis does not answer\n")
        assert "hunter2" not in text


def test_health_is_that_of_the_processes(monitor: Monitor, board: Board) -> None:
    assert ask(monitor, "/healthz") == ask(monitor, "/readyz") == (200, "ok\n")
    for tally in board.tallies:
        tally.turn("starting")
    assert ask(monitor, "/healthz") == (200, "ok\n")
    assert ask(monitor, "/readyz")[0] == 503
    for tally in board.tallies:
        tally.leave()
    assert ask(monitor, "/healthz") == (503, "no worker process runs\n")


def test_a_breaker_that_is_open_for_the_credentials_is_not_ready(monitor: Monitor, redis: Redis) -> None:
    open_breaker(redis, "default", "us-east-1", "ExpiredToken: The security token is expired")
    redis.hdel(KEYS.account("default", "us-east-1"), "manual")
    status, text = ask(monitor, "/readyz")
    assert (status, text) == (
        503,
        "the breaker is open for the credentials: ExpiredToken: The security token is expired\n",
    )
    assert ask(monitor, "/healthz") == (200, "ok\n")


def test_a_gate_that_is_no_gate_hides_nothing_else(monitor: Monitor, redis: Redis) -> None:
    redis.set(KEYS.account("default", "us-east-1"), "of another type")
    _, text = ask(monitor, "/metrics")
    assert samples(text)["rq_ses_redis_up"] == 1
    assert "rq_ses_breaker_state{" not in text
    assert ask(monitor, "/readyz") == (200, "ok\n")


def test_other_pages_and_methods_are_refused(monitor: Monitor) -> None:
    assert ask(monitor, "/")[0] == 404
    assert ask(monitor, "/metrics/../healthz")[0] == 404
    assert ask(monitor, "/healthz?x=1") == (200, "ok\n")
    assert ask(monitor, "/healthz", "HEAD") == (200, "")
    for method in ("POST", "DELETE", "OPTIONS"):
        assert ask(monitor, "/healthz", method)[0] == 501


def address_of(monitor: Monitor) -> tuple[str, int]:
    return str(urlsplit(monitor.url).hostname), int(urlsplit(monitor.url).port or 0)


@pytest.mark.parametrize("begin", [b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_health_is_told_however_many_connections_only_stand(monitor: Monitor, begin: bytes) -> None:
    address, before = address_of(monitor), threading.active_count()
    with contextlib.ExitStack() as standing:
        for number in range(600):
            connection = standing.enter_context(socket.create_connection(address, timeout=20))
            with contextlib.suppress(ConnectionError):  # closed already, to make room
                connection.sendall(begin)
            if number % 50 == 49:
                assert ask(monitor, "/healthz") == (200, "ok\n")
        assert ask(monitor, "/metrics")[0] == 200
        wait_for(lambda: threading.active_count() - before <= MOST_UNREAD)
    wait_for(lambda: threading.active_count() == before)


def test_pages_that_wait_for_redis_are_bounded_and_health_does_not_wait(serve: Serve) -> None:
    # It accepts, as a host that is overloaded does, and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(4 * MOST_PAGES) as pool:
        monitor = serve(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        answers = [pool.submit(ask, monitor, "/metrics") for _ in range(4 * MOST_PAGES)]
        assert ask(monitor, "/healthz") == (200, "ok\n")
        found = [answer.result() for answer in answers]
    refused = (503, "too many requests at a time\n")
    assert sum(status == 200 for status, _ in found) >= MOST_PAGES
    assert {answer for answer in found if answer[0] != 200} == {refused}
    assert ask(monitor, "/metrics")[0] == 200


def test_a_request_without_end_is_answered_without_being_read_to_its_end(monitor: Monitor) -> None:
    with socket.create_connection(address_of(monitor), timeout=4) as endless:
        line = b"X-Padding: " + b"x" * 1000 + b"\r\n"
        endless.sendall(b"GET /healthz HTTP/1.1\r\n" + 17 * line)
        assert endless.recv(100).startswith(b"HTTP/1.0 200 OK\r\n")
    assert ask(monitor, "/healthz") == (200, "ok\n")


def test_a_port_that_is_taken_is_an_error_that_names_the_setting(monitor: Monitor, redis_url: str) -> None:
    port = urlsplit(monitor.url).port
    shared = SharedReader(redis_url, QUEUES, "default", "us-east-1")
    with pytest.raises(SettingsError, match=rf"RQ_SES_METRICS: can't listen on 127\.0\.0\.1:{port}: Address"):
        Monitor(read_listening(str(port)), Board(), shared)


def test_a_host_name_and_ipv6_can_be_listened_on(redis_url: str, board: Board) -> None:
    for where, url in (("localhost:0", "http://127.0.0.1:"), ("[::1]:0", "http://[::1]:")):
        monitor = Monitor(
            read_listening(where), board, SharedReader(redis_url, QUEUES, "default", "us-east-1")
        )
        assert monitor.url.startswith(url)
        monitor.detach()


def test_every_metric_is_documented_as_it_is(monitor: Monitor, board: Board, redis: Redis) -> None:
    board.tallies[0].attempted([ended(Sent(200))])
    account = Account(14.0, 200.0, 3.0, True, False, "HEALTHY")
    Lifecycle(redis, QUEUES, "w", "x", 30.0, gate=GatePolicy(region="us-east-1")).learn(
        account, ask_again=300
    )
    redis.xgroup_create(KEYS.outcomes, "webhook", mkstream=True)
    families = list(text_string_to_metric_families(ask(monitor, "/metrics")[1]))
    shown = {}
    for family in families:
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown[name] = (family.type, tuple(sorted(labels)))
    page = METRICS_PAGE.read_text().partition("## The SMTP ingress")[0]
    rows = re.findall(r"^\| `(rq_ses_\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    listed = {name: (kind, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in rows}
    assert listed == shown
