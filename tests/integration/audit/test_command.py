"""`rq-ses audit`: its lines, its exit codes, and its settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.audit.command import audit as command
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.audits import LEASES, LIST, PREFIX, WIP, places
from support.mails.mail import mail
from support.programs.processes import environment
from support.programs.terminal import run_on_terminal

# The command


def run(redis_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--redis-url", redis_url, "--wait", "0", *arguments])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("RQ_SES_", "AWS_")):
            monkeypatch.delenv(name)


def test_the_command_reports_and_repairs_and_tells_by_its_exit_code(redis_url: str, redis: Redis) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    clean = run(redis_url)
    assert (clean.exit_code, clean.stdout) == (0, "")
    redis.delete(LIST)
    found = run(redis_url, "--json")
    assert found.exit_code == 1
    assert found.stdout == (
        f'{{"job_id": "{job_id}", "queue": "mail", "found": "queued, but stands in no list", "done": null}}\n'
    )
    repaired = run(redis_url, "--repair")
    assert repaired.exit_code == 0
    assert repaired.stdout == f"{job_id}: queued, but stands in no list → put back into the queue\n"
    assert run(redis_url).exit_code == 0


def test_the_command_needs_no_aws_credentials_and_reads_on_unknown_from_the_file(
    redis_url: str, redis: Redis, tmp_path: Any
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[rq_ses]\non_unknown = "hold"\nproxy = "${env.MISSING}"\n')
    job_id = Outbox(redis).send(mail()).job_id
    Lifecycle(redis, ["mail"], "dead", PREFIX, 30.0).claim(1)
    redis.delete(WIP, LEASES)
    assert run(redis_url, "--repair", "--config", str(config)).exit_code == 0
    assert places(redis, job_id) == ["failed"]


def test_without_redis_the_command_says_so() -> None:
    result = run("redis://127.0.0.1:1/0")
    assert result.exit_code == 4
    assert "check RQ_SES_REDIS_URL" in result.stderr


def test_on_a_terminal_the_report_still_goes_to_the_file(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    redis.delete(LIST)
    command_line = [sys.executable, "-m", "rq_ses", "audit", "--redis-url", redis_url, "--wait", "0.2"]
    with (tmp_path / "out").open("wb") as out:
        code, shown = run_on_terminal(command_line, environment(), stdout=out)
    assert code == 1
    assert (tmp_path / "out").read_text() == f"{job_id}: queued, but stands in no list\n"
    assert "jobs read" in shown
    assert job_id not in shown
