"""`rq-ses worker --metrics`: what it counts, and how it says that it is well."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import Worker

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail, status
from support.programs.processes import Process, run, running
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for


def address(process: Process) -> str:
    found = wait_for(lambda: re.search(r"health at (http://127\.0\.0\.1:\d+)/metrics", process.output))
    return found[1]


def ask(url: str) -> tuple[int, str]:
    """Return what stands at a URL of a worker that may be about to start, or to end."""
    try:
        answer = requests.get(url, timeout=20)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return 0, ""  # it listens no more, or ended while it answered
    return answer.status_code, answer.text


def count(base: str, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(ask(f"{base}/metrics")[1])
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_a_worker_counts_its_mails_and_is_ready(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(redis_url)
    outbox.send_many([mail(f"user{n}@example.com") for n in range(5)])
    outbox.send_many([mail("reject.x@faults.example"), mail("429.x@faults.example")])
    with running(["worker", "--metrics", "0", "--burst"], worker_env, tmp_path / "log") as worker:
        base = address(worker)
        wait_for(lambda: count(base, "rq_ses_settled_total", action="retry") == 1)
        wait_for(lambda: count(base, "rq_ses_outcomes_total", outcome="sent") == 5)
        assert count(base, "rq_ses_outcomes_total", outcome="terminal", code="MessageRejected") == 1
        assert count(base, "rq_ses_outcomes_total", outcome="rate_limited") == 1
        assert count(base, "rq_ses_queue_wait_seconds_count") == 7
        assert count(base, "rq_ses_exchange_seconds_count") == 7
        wait_for(lambda: count(base, "rq_ses_queue_jobs", queue="mail", state="failed") == 1)
        assert ask(f"{base}/healthz") == ask(f"{base}/readyz") == (200, "ok\n")
        assert run(["health", "--http", f"{base}/readyz"], worker_env).returncode == 0
        assert "@" not in ask(f"{base}/metrics")[1]
        wait_for(lambda: not worker.running)
        assert worker.stop() == 1  # one is refused
    assert len(ses.mails) == 6


def test_processes_are_summed_and_the_counts_of_a_killed_one_stay(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    def pids() -> set[int]:
        return {worker.pid for worker in Worker.all(connection=redis)}

    def deliver(number: int) -> None:
        sent = [mail(f"slow-0.05.{number}-{n}@faults.example") for n in range(20)]
        jobs = Outbox(redis_url).send_many(sent)
        wait_for(lambda: all(status(redis, receipt.job_id) == "finished" for receipt in jobs))

    options = ["worker", "--processes", "2", "--concurrency", "2", "--metrics", "0"]
    with running(options, worker_env, tmp_path / "log") as supervisor:
        base = address(supervisor)
        before = wait_for(lambda: len(found := pids()) == 2 and found)
        wait_for(lambda: ask(f"{base}/readyz") == (200, "ok\n"))
        deliver(1)
        wait_for(lambda: count(base, "rq_ses_outcomes_total", outcome="sent") == 20)
        os.kill(min(before), signal.SIGKILL)
        wait_for(lambda: len(pids() - before) == 1)
        assert count(base, "rq_ses_outcomes_total", outcome="sent") == 20
        deliver(2)
        wait_for(lambda: count(base, "rq_ses_settled_total", action="sent") == 40)
        assert supervisor.stop(signal.SIGTERM) == 0
        assert ask(f"{base}/healthz") == (0, "")
    assert "the monitor's process" not in supervisor.output


def test_the_process_that_shows_the_metrics_is_started_anew_and_ends_with_the_others(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path
) -> None:
    def companion(supervisor: int) -> int:
        children = {child.pid for child in psutil.Process(supervisor).children()}
        [found] = children - {worker.pid for worker in Worker.all(connection=redis)} or {0}
        return found

    with running(
        ["worker", "--processes", "2", "--metrics", "0"], worker_env, tmp_path / "log"
    ) as supervisor:
        base = address(supervisor)
        wait_for(lambda: len(Worker.all(connection=redis)) == 2)
        wait_for(lambda: ask(f"{base}/readyz") == (200, "ok\n"))
        first = wait_for(lambda: companion(supervisor.pid))
        os.kill(first, signal.SIGKILL)
        wait_for(
            lambda: "the monitor's process was killed by signal 9; it is started anew" in supervisor.output
        )
        wait_for(lambda: ask(f"{base}/readyz") == (200, "ok\n"))
        supervisor.kill(signal.SIGKILL)
        wait_for(lambda: ask(f"{base}/healthz") == (0, ""))


def test_a_worker_without_redis_is_alive_and_not_ready(
    ses: SimulatorServer, worker_env: Mapping[str, str], tmp_path: Path
) -> None:
    with valkey(tmp_path / "data") as server:
        port, redis_url = server.port, url(server)
    env = {**worker_env, "RQ_SES_REDIS_URL": redis_url, "RQ_SES_METRICS": "127.0.0.1:0"}
    with running(["worker"], env, tmp_path / "log") as worker:
        base = address(worker)
        assert ask(f"{base}/healthz") == (200, "ok\n")
        code, reasons = ask(f"{base}/readyz")
        assert (code, reasons.splitlines()) == (
            503,
            ["Redis has not been reached yet, or not been found fit (preflight)", "Redis does not answer"],
        )
        failed = run(["health", "--http", f"{base}/readyz"], worker_env)
        assert (failed.returncode, "answers 503" in failed.stderr) == (1, True)
        with valkey(tmp_path / "data", port=port) as server, client(server):
            wait_for(lambda: ask(f"{base}/readyz") == (200, "ok\n"))
            Outbox(redis_url).send(mail("slow-2.x@faults.example"))
            wait_for(lambda: count(base, "rq_ses_in_flight") == 1)
        wait_for(lambda: count(base, "rq_ses_unsettled") == 1)
        assert count(base, "rq_ses_redis_up") == 0
        assert ask(f"{base}/healthz") == (200, "ok\n")


@pytest.mark.usefixtures("redis")
def test_a_port_that_is_taken_stops_a_worker_before_it_starts(worker_env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        for processes in ("1", "2"):
            ended = run(["worker", "--metrics", where, "--processes", processes], worker_env)
            assert ended.returncode == 3
            assert f"RQ_SES_METRICS: can't listen on {where}: Address already in use" in ended.stderr
