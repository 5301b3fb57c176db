"""`rq-ses status` as people and scripts see it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses.gate import open_breaker
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.processes import environment, run, running
from support.programs.terminal import run_on_terminal
from support.waiting import wait_for

INTERRUPTED = """\
import os, signal
from rich.live import Live
from rq_ses.cli import main

times, update = [], Live.update


def counting(self, *args, **options):
    update(self, *args, **options)
    times.append(1)
    if len(times) == 3:
        os.kill(os.getpid(), signal.SIGINT)


Live.update = counting
main(["status", "--watch", "0.1"], prog_name="rq-ses")
"""
"""Presses Ctrl-C when the status has been shown three times."""

COMMAND = [sys.executable, "-m", "rq_ses", "status"]


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url, COLUMNS="150")


def test_it_needs_neither_a_worker_nor_a_region(redis: Redis, redis_url: str, env: dict[str, str]) -> None:
    Outbox(redis_url).send(mail(), priority="high")
    done = run(["status", "--sample", "0"], env)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["mail-high", "1", "0.0", "s", "0", "0", "-", "0", "0"] in [
        [*row[:2], "0.0", *row[3:]] for row in rows if row[:1] == ["mail-high"]
    ]
    assert "no worker is at these queues: rq-ses worker" in done.stdout
    assert "no account is known yet: name one by --region" in done.stdout


def test_a_worker_at_work_is_shown_with_its_account_and_its_mails(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    Outbox(redis_url).send_many([mail(f"slow-20.{n}@faults.example") for n in range(3)])
    env = environment(RQ_SES_REDIS_URL=redis_url)
    with running(
        ["worker", "--name", "the-worker", "--concurrency", "2", "--timeout", "30"],
        worker_env,
        tmp_path / "log",
    ):
        wait_for(lambda: redis.zcard("rq:wip:mail") == 2)
        wait_for(lambda: redis.hget("rq:ses:account:default:us-east-1", "flow"))
        shown = run(["status", "--sample", "0.1"], env)
        found = json.loads(run(["status", "--json", "--sample", "0.1", "--mails", "1"], env).stdout)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "1 worker on 1 host" in shown.stdout
    assert "default in us-east-1" in shown.stdout
    assert "slow-20.0@faults.example → Hi" in shown.stdout
    (worker,) = found["workers"]
    assert (worker["name"], worker["threads"], worker["current"]) == ("the-worker", 2, 2)
    assert (worker["account"], worker["region"]) == ("default", "us-east-1")
    assert [queue["started"] for queue in found["queues"]] == [0, 2, 0]
    assert [queue["queued"] for queue in found["queues"]] == [0, 1, 0]
    assert len(found["sending"]) == 1
    assert found["rates"]["attempts"] == 0
    assert found["hosts"] == [worker["host"]]


def test_the_breaker_its_reason_and_the_day_are_shown(redis: Redis, env: dict[str, str]) -> None:
    open_breaker(redis, "default", "us-east-1", "wrong [red]prices[/]")
    done = run(["status", "--region", "us-east-1", "--sample", "0"], env)
    assert "open, by hand for" in done.stdout
    assert "wrong [red]prices[/]" in done.stdout
    assert "no probes: rq-ses breaker close" in done.stdout


def test_what_redis_refuses_to_tell_is_named_and_unknown(redis: Redis, env: dict[str, str]) -> None:
    redis.set("rq:queue:mail", "no list")
    redis.set("rq:workers", "no set")
    done = run(["status", "--sample", "0"], env)
    assert done.returncode == exits.INCOMPLETE
    assert re.search(r"^mail +\?", done.stdout, re.MULTILINE)
    assert "workers: not known" in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: workers, queue mail: ResponseError: WRONGTYPE")
    assert line.endswith("give rq-ses a database or a server of its own")


def test_on_a_narrow_terminal_figures_stay_whole(redis: Redis, env: dict[str, str]) -> None:
    name = "a-worker-with-a-rather-long-name.example.internal"
    redis.sadd("rq:workers", f"rq:worker:{name}")
    fields = {"birth": "2026-01-01T00:00:00Z", "queues": "mail", "hostname": "a-host.example.internal"}
    redis.hset(f"rq:worker:{name}", mapping={**fields, "successful_job_count": 12345678, "state": "busy"})
    _, shown = run_on_terminal([*COMMAND, "--sample", "0"], env, columns=80)
    assert "12,345,678" in shown
    assert "…" not in shown


def test_a_redis_that_is_away_has_an_exit_code_of_its_own() -> None:
    done = run(["status"], environment(RQ_SES_REDIS_URL="redis://:hunter2@127.0.0.1:1/0"))
    assert (done.returncode, done.stdout) == (exits.UNAVAILABLE, "")
    assert "Redis did not answer" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--queue", "no queue"], exits.SETTINGS, "RQ_SES_QUEUE: 'no queue'"),
        (["--region", "../x"], exits.SETTINGS, "AWS_REGION: '../x'"),
        (["--watch", "soon"], exits.USAGE, "'soon'"),
        (["--sample", "-1"], exits.USAGE, "--sample"),
    ],
)
def test_bad_options_are_named(env: dict[str, str], options: list[str], code: int, text: str) -> None:
    done = run(["status", *options], env)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr


def test_watching_as_json_prints_a_line_each_time_until_it_is_stopped(
    redis: Redis, env: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--watch", "0.1", "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=30)
    assert (process.returncode, problems) == (0, b"")
    assert [line["rates"]["sent"] for line in lines] == [0, 0, 0]
    assert lines[0]["now"] < lines[1]["now"] < lines[2]["now"]


def test_on_a_terminal_it_is_a_screen_that_is_left_as_it_was(redis: Redis, env: dict[str, str]) -> None:
    code, shown = run_on_terminal([sys.executable, "-c", INTERRUPTED], env, columns=120)
    assert code == 0, shown
    assert "\x1b[?1049h" in shown
    assert shown.index("mail-bulk") < shown.rindex("\x1b[?1049l")
    assert os.linesep in shown


def test_it_works_with_the_producer_alone(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    blocked = (
        "import sys\n"
        "for name in ('requests', 'urllib3', 'prometheus_client'): sys.modules[name] = None\n"
        "from rq_ses.cli import main; main(['status', '--sample', '0'], prog_name='rq-ses')"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mail-bulk" in done.stdout
