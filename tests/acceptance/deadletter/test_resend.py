"""`rq-ses resend`, as an operator runs it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from rq_ses.cli import main
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail
from support.mails.failed_mails import queued, some
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, run, running
from support.programs.terminal import run_on_terminal
from support.waiting import wait_for


def on_terminal(
    arguments: list[str], env: dict[str, str], answer: str = "", stdout: Any = None
) -> tuple[int, str]:
    """Run it with a terminal on stdin too, where `answer` is typed; what it shows without control codes."""
    master, slave = pty.openpty()
    try:
        os.write(master, answer.encode())
        with os.fdopen(slave, "rb", closefd=False) as stdin:
            code, shown = run_on_terminal(
                [sys.executable, "-m", "rq_ses", *arguments], env, stdin=stdin, stdout=stdout
            )
    finally:
        os.close(slave)
        os.close(master)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r\n", "\n")


def test_a_resend_shows_what_it_would_do_and_asks(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["resend", "--dry-run"], env)
    assert done.returncode == 0, done.stderr
    assert re.search(r" 3  MessageRejected: ", done.stdout)
    assert "3 mails would be resent\n1 mail left: SES may have accepted it (" in done.stderr
    done = run(["resend"], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no terminal to ask on: give --yes" in done.stderr
    code, shown = on_terminal(["resend"], env, "n\n")
    assert (code, queued(redis)) == (1, [])
    assert re.search(r" 3  MessageRejected: .*Resend 3 mails\? \[y/N\]", shown, re.DOTALL)
    code, shown = on_terminal(["resend"], env, "y\n")
    assert code == 0, shown
    assert "3 mails resent" in shown
    assert sorted(queued(redis)) == sorted(ids[:3])
    assert status(redis, ids[3]) == "failed"


def test_unknown_outcomes_are_resent_when_asked_for(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["resend", "--yes", "--json", "--code", "ReadTimeout"], env)
    assert (done.returncode, json.loads(done.stdout)["unknown"]) == (0, 1)
    assert "no failed mail to resend" in done.stderr
    done = run(["resend", "--yes", "--json", "--include-unknown"], env)
    assert (done.returncode, json.loads(done.stdout)["resent"]) == (0, 4)
    assert sorted(queued(redis)) == sorted(ids)


def test_resent_mails_are_sent(
    redis: Redis, worker_env: dict[str, str], ses: SimulatorServer, tmp_path: Path
) -> None:
    some(redis)
    assert run(["resend", "--yes", "--set", "sender=new@shop.example"], worker_env).returncode == 0
    with running(["worker", "--burst"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: not worker.running)
    assert redis.zcard(KEYS.registry("finished", "mail")) == 3, worker.output


def test_named_mails_are_resent_with_changes(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    ids = some(redis)
    file = tmp_path / "ids"
    file.write_text(f"{ids[0]}\n\n{ids[1]}\r\nno-such-job\n")
    done = run(
        ["resend", "--yes", "--ids", str(file), ids[0], "--set", "to=a@b.example", "--set", "to=c@d.example",
         "--set", "tags.fixed=yes", "--set", "reply_to="], env,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "2 mails resent\n1 job id is no failed mail's\n"
    assert sorted(queued(redis)) == sorted(ids[:2])
    message = read_job(redis.hget(f"rq:job:{ids[0]}", "data")).message
    assert (message.to, dict(message.tags)) == (("a@b.example", "c@d.example"), {"fixed": "yes"})
    done = subprocess.run(
        [sys.executable, "-m", "rq_ses", "resend", "--yes", "--ids", "-"],
        env=env, input=ids[2], capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "1 mail resent\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--set", "sender=nobody"], "--set sender: 'nobody' is not an e-mail address: write "),
        (["--set", "nonsense=x"], "--set 'nonsense': can't be changed: use one of sender, "),
        (["--set", "to=a@b.example"], "--set to: every mail has its own: name the mails to change"),
        (["--set", "sender"], "--set: 'sender' has no field or no '=': write FIELD=VALUE"),
        (["--set", "sender=a@b.example", "--set", "sender=c@d.example"], "--set: 'sender' was given twice"),
        (["--set", "tags.a=1", "--set", "tags=1"], "--set: 'tags' was given twice"),
        (["--tag", "kind"], "--tag: 'kind' has no name or no '=': write NAME=VALUE"),
        (
            ["--older-than", "soon"],
            "'soon' is no length of time and no moment: write 45s, 30m, 2h or 3d, or",
        ),
        (["--rate", "0"], "--rate"),
        (["--limit", "0"], "--limit"),
        (["--ids", "/no/such"], "--ids: '/no/such' can't be read: No such file"),
    ],
)
def test_what_can_t_be_done_is_a_usage_error_and_moves_nothing(
    redis: Redis, env: dict[str, str], arguments: list[str], problem: str
) -> None:
    some(redis)
    done = CliRunner().invoke(main, ["resend", "--yes", *arguments], env=env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in " ".join(done.stderr.split())
    assert queued(redis) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_resend_is_run_again_and_each_mail_moves_once(
    redis: Redis, env: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    ids = fail(redis, [mail(f"user{n}@example.com") for n in range(300)])
    with running(["resend", "--yes", "--rate", "200"], env, tmp_path / "log") as process:
        wait_for(lambda: len(queued(redis)) >= 40)
        code = process.stop(number)
    moved = len(queued(redis))
    assert 40 <= moved < 300
    if number == signal.SIGINT:
        assert code == 1
        assert process.output == f"{moved} mails resent\ninterrupted: run it again to go on\n"
    done = run(["resend", "--yes"], env)
    assert (done.returncode, done.stderr) == (0, f"{300 - moved} mails resent\n")
    assert sorted(queued(redis)) == sorted(ids)
    assert redis.zcard(KEYS.registry("failed", "mail")) == 0


def test_the_progress_stands_on_the_terminal_and_json_on_stdout(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    fail(redis, [mail(f"user{n}@example.com") for n in range(200)])
    file = tmp_path / "json"
    with file.open("wb") as stdout:
        code, shown = on_terminal(["resend", "--yes", "--json", "--rate", "400"], env, stdout=stdout)
    assert code == 0
    assert json.loads(file.read_text())["resent"] == 200
    assert re.search(r"resending .*\d+/200", shown)


def test_queues_are_named_with_their_priorities_or_alone(redis: Redis, env: dict[str, str]) -> None:
    for queue in ("mail", "mail-bulk", "news", "news-high"):
        fail(redis, [mail()], queue=queue)
    run(["resend", "--yes", "--queue", "mail-bulk"], env)
    assert (len(queued(redis, "mail-bulk")), len(queued(redis))) == (1, 0)
    done = run(["resend", "--yes", "--queue", "news", "--queue", "mail"], env)
    assert done.stderr == "3 mails resent\n"
    done = run(["failed", "--queue", "a b"], env)
    assert (done.returncode, done.stdout) == (3, "")
