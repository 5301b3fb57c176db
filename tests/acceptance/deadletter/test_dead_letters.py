"""What is common to the commands for failed mails: `rq-ses failed`, `resend` and `import`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli import main
from support.mails.failed_mails import some
from support.mails.mail import mail
from support.programs.processes import PATIENCE, environment, run

AWAY = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "command", [["failed"], ["resend", "--yes"], ["failed", "j1"], ["import", os.devnull]]
)
def test_an_empty_redis_is_no_error_but_for_who_names_a_mail(
    redis: Redis, env: dict[str, str], command: list[str]
) -> None:
    done = run(command, env)
    assert done.returncode == (1 if "j1" in command else 0)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "command", [["failed"], ["resend", "--yes"], ["failed", "--export", "-"], ["failed", "x"]]
)
def test_without_redis_they_say_so(command: list[str]) -> None:
    done = run(command, environment(RQ_SES_REDIS_URL=AWAY))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("Error: Redis did not answer (ConnectionError")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["failed", "j1", "--list"], "JOB_ID shows one mail"),
        (["failed", "j1", "--code", "x"], "JOB_ID shows one mail"),
        (["failed", "--limit", "3"], "--limit goes with --list or --export"),
        (["failed", "--list", "--export", "-"], "--list and --export"),
        (["failed", "--export", "/no/such/file"], "can't be written: No such file"),
        (["import", "/no/such"], "FILE: '/no/such' can't be read"),
        (["import", "--include-unknown", "-"], "--include-unknown goes with --resend"),
    ],
)
def test_options_that_don_t_go_together_are_a_usage_error(
    env: dict[str, str], arguments: list[str], problem: str
) -> None:
    done = CliRunner().invoke(main, arguments, env=env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in " ".join(done.stderr.split())


def test_the_document_shows_what_works(redis: Redis, redis_url: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "dead-letters.md").read_text()
    *_, program = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "redis://127.0.0.1:6379/0" in program
    some(redis)
    Outbox(redis).send(mail())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.replace("redis://127.0.0.1:6379/0", redis_url)],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 MessageRejected" in done.stdout
    assert "3 resent" in done.stdout
