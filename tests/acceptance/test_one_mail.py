"""`rq-ses show`, `cancel` and `discard`, as an operator runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.deadletter import DeadLetters
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail, in_doubt, rejected
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, run, running
from support.programs.terminal import run_on_terminal
from support.waiting import wait_for

AWAY = "redis://127.0.0.1:1/0"
PROGRAM = [sys.executable, "-m", "rq_ses"]


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url)


def on_terminal(arguments: list[str], env: dict[str, str], answer: str = "") -> tuple[int, str]:
    """Run it on a terminal of 80 columns, where `answer` is typed."""
    master, slave = pty.openpty()
    try:
        os.write(master, answer.encode())
        with os.fdopen(slave, "rb", closefd=False) as stdin:
            code, shown = run_on_terminal([*PROGRAM, *arguments], env, stdin=stdin, columns=80)
    finally:
        os.close(slave)
        os.close(master)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r\n", "\n")


# show and cancel


def test_a_mail_is_shown_by_id_and_by_key_and_as_json(redis: Redis, redis_url: str, env: Any) -> None:
    job_id = Outbox(redis_url).send(mail(), key="order-7", priority="bulk").job_id
    done = run(["show", job_id], env)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^job +{job_id}$", done.stdout, re.MULTILINE)
    assert re.search(r"^stands +in queue mail-bulk, at its front$", done.stdout, re.MULTILINE)
    found = json.loads(run(["show", "--key", "order-7", "--json"], env).stdout)
    assert (found["job_id"], found["status"], found["to"]) == (job_id, "queued", ["anna@example.com"])
    assert found["message_id"] is None


def test_a_canceled_mail_frees_its_key_and_is_sent_by_nobody(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], env: Any
) -> None:
    outbox = Outbox(redis_url)
    first = outbox.send(mail(), key="k", delay=3600)
    done = run(["cancel", "--key", "k"], env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"job {first.job_id} canceled: it was scheduled, and will not be sent\n"
    assert status(redis, first.job_id) == "canceled"
    [normal] = [q for q in json.loads(run(["status", "--json"], env).stdout)["queues"] if q["name"] == "mail"]
    assert (normal["canceled"], normal["scheduled"]) == (1, 0)
    assert run(["audit", "--wait", "0"], env).returncode == 0
    again = outbox.send(mail(subject="Changed"), key="k")
    assert (again.job_id, again.duplicate) == (first.job_id, False)
    assert run(["worker", "--burst"], worker_env).returncode == 0
    assert status(redis, again.job_id) == "finished"
    shown = json.loads(run(["show", "--key", "k", "--json"], env).stdout)
    assert (shown["status"], bool(shown["message_id"])) == ("finished", True)


def test_what_is_being_sent_is_said_to_be(
    redis: Redis, redis_url: str, worker_env: dict[str, str], env: Any, tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail("slow-20.a@faults.example")).job_id
    with running(["worker", "--timeout", "30"], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "started")
        done = run(["cancel", job_id, "--json"], env)
        shown = run(["show", job_id], env).stdout
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["canceled"], found["was"]) == (False, "started")
    assert "can't be called back" in done.stderr
    assert "with a worker, under a lease" in shown


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_what_cant_be_found_or_reached_has_its_exit_code(redis: Redis, env: Any, command: str) -> None:
    done = run([command, "nope"], env)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: job nope is not known in mail-high, mail, mail-bulk: ")
    for arguments in ([], ["a", "--key", "b"]):
        done = run([command, *arguments], env)
        assert done.returncode == 2
        assert "name the mail by JOB_ID or by --key: give exactly one of them" in done.stderr
    odd = b"x\xffy".decode("utf-8", "surrogateescape")
    assert run([command, odd], env).stderr.startswith("Error: job x y is not known")
    done = run([command, "--key", odd], env)
    assert done.returncode == 2
    assert "Error: --key: 'x\\udcffy' can't be used: give a text of 1 to 512 characters" in done.stderr
    done = run([command, "nope", "--redis-url", AWAY], env)
    assert done.returncode == 4
    assert done.stderr.startswith("Error: Redis did not answer (ConnectionError")


# discard


def test_mails_are_discarded_by_the_filters_of_resend(redis: Redis, env: Any) -> None:
    old = fail(redis, [mail(), mail()], rejected(), age=7200)
    new = fail(redis, [mail()], rejected())
    doubt = fail(redis, [mail()], in_doubt())
    done = run(["discard", "--code", "MessageRejected", "--older-than", "1h", "--dry-run"], env)
    assert (done.returncode, done.stderr) == (0, "2 mails would be deleted\n")
    assert re.search(r"^ +2  MessageRejected: ", done.stdout)
    done = run(["discard", "--code", "MessageRejected", "--older-than", "1h", "--yes", "--json"], env)
    assert json.loads(done.stdout)["discarded"] == 2
    assert done.stderr == "2 mails deleted\n"
    assert [redis.exists(KEYS.job(job_id)) for job_id in (*old, *new, *doubt)] == [0, 0, 1, 1]
    done = run(["discard", *new, *doubt, "nope", "--yes"], env)
    assert done.returncode == 1
    assert "2 mails deleted; 1 of them SES may have accepted" in done.stderr
    assert "1 job id is no failed mail's" in done.stderr
    done = run(["discard", "--yes"], env)
    assert (done.returncode, done.stderr) == (0, "no failed mail to delete\n")


def test_discard_asks_and_names_the_export(redis: Redis, env: Any) -> None:
    fail(redis, [mail(), mail()], rejected())
    assert run(["discard"], env).returncode == 2
    code, shown = on_terminal(["discard"], env, "n\n")
    assert code == 1
    assert re.search(r"rq-ses failed --export FILE.*Delete 2 mails for good\? \[y/N\]", shown, re.DOTALL)
    assert DeadLetters(redis).groups().count == 2
    code, shown = on_terminal(["discard"], env, "y\n")
    assert (code, "2 mails deleted" in shown) == (0, True)
    assert DeadLetters(redis).groups().count == 0


# Moments


def test_filters_take_moments_and_two_of_them(redis: Redis, env: Any) -> None:
    [old] = fail(redis, [mail()], rejected(), age=7200)
    [new] = fail(redis, [mail()], rejected())

    def listed(*options: str, **variables: str) -> set[str]:
        done = run(["failed", "--list", *options], {**env, **variables})
        assert done.returncode == 0, done.stderr
        return {line.partition(" ")[0] for line in done.stdout.splitlines()}

    failed_at = DeadLetters(redis).get(old).failed_at
    assert failed_at is not None
    moment = failed_at.isoformat()
    local = failed_at.replace(tzinfo=None, microsecond=0).isoformat()
    assert listed("--older-than", moment) == {old}
    assert listed("--newer-than", moment) == {old, new}
    assert listed("--newer-than", local, TZ="UTC") == {old, new}
    assert listed("--failed-between", moment, "1h") == {old}
    assert listed("--failed-between", "1h", "0s") == {new}
    assert listed("--failed-between", "3h", "2099-01-01T00:00:00Z") == {old, new}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--failed-between", "1h", "2h"], "nothing failed both after "),
        (["--failed-between", "2h", "1h", "--older-than", "1h"], "goes without --older-than"),
        (["--newer-than", "soon"], "'soon' is no length of time and no moment"),
        (["--newer-than", "2027-03-28T02:30"], "doesn't exist in this time zone"),
        (["--newer-than", "2027-10-31T02:30"], "exists twice in this time zone"),
    ],
)
def test_a_moment_that_isn_t_one_is_refused(env: Any, options: list[str], problem: str) -> None:
    done = run(["failed", *options], {**env, "TZ": "Europe/Berlin"})
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())


# What is printed hinders nothing


def shell(line: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line, "sh", *PROGRAM], env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("sink", [">/dev/full", "| true"])
@pytest.mark.parametrize(
    ("command", "said"),
    [("resend --yes --json", "300 mails resent"), ("discard --yes --json", "300 mails deleted")],
)
def test_a_broken_stdout_changes_nothing_about_what_is_done(
    redis: Redis, env: Any, command: str, said: str, sink: str
) -> None:
    fail(redis, [mail() for _ in range(300)], rejected())
    done = shell(f'"$@" {command} {sink}', env)
    assert said in done.stderr
    assert DeadLetters(redis).groups().count == 0
    assert "Traceback" not in done.stderr
    if sink == ">/dev/full":
        assert done.returncode == 1
        assert "standard output can't be written (No space left on device)" in done.stderr


def test_an_import_and_an_export_say_what_became_of_them(redis: Redis, env: Any, tmp_path: Path) -> None:
    fail(redis, [mail() for _ in range(300)], rejected())
    assert run(["failed", "--export", str(tmp_path / "f")], env).returncode == 0
    for sink in (">/dev/full", "| head -1"):
        done = shell(f'"$@" failed --export - {sink}', env)
        assert "Traceback" not in done.stderr
        assert "can't be written" in done.stderr
        assert "it breaks off" in done.stderr
    redis.flushall()
    done = shell(f'"$@" import {tmp_path}/f --json >/dev/full', env)
    assert done.returncode == 1
    assert "300 put back as failed" in done.stderr
    assert DeadLetters(redis).groups().count == 300


@pytest.mark.parametrize(
    "command", ["failed", "failed --list", "failed --json", "status --sample 0", "status --json --sample 0",
    "audit --wait 0 --repair", "show nope", "--help", "failed --help", "breaker show --region unknown"],
)  # fmt: skip
def test_no_broken_stdout_is_a_traceback(redis: Redis, env: Any, command: str) -> None:
    fail(redis, [mail() for _ in range(30)], rejected())
    redis.lpush("rq:queue:mail", "nobody")
    for sink in (">/dev/full", "| true", "2>/dev/full", ">&- 2>&-"):
        done = shell(f'"$@" {command} {sink}', env)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if sink == ">/dev/full":
            assert done.returncode == 1


def test_a_watch_ends_when_nobody_reads_it_any_more(env: Any, redis: Redis) -> None:
    done = shell('"$@" status --watch 0.1 --json | head -1', env)
    assert json.loads(done.stdout)["queues"]


# On a terminal of 80 columns


def test_no_word_is_broken_at_80_columns(redis: Redis, redis_url: str, env: Any) -> None:
    ids = fail(redis, [mail(subject="Your order 4711 is on its way to you, Anna")], rejected("a@b.example"))
    Outbox(redis_url).send(mail(), key="k")
    words = {
        word
        for arguments in (["failed"], ["failed", "--list"], ["failed", ids[0]], ["show", "--key", "k"])
        for word in run(arguments, env).stdout.split()
        if not re.search(r"\d:\d|^\(?\d|ago", word)
    }
    shown = ""
    for arguments in (["failed"], ["failed", "--list"], ["failed", ids[0]], ["show", "--key", "k"]):
        code, text = on_terminal(arguments, env)
        assert code == 0
        assert max(map(len, text.splitlines())) <= 80
        shown += text
    assert words - set(shown.split()) == set()


def test_the_status_keeps_ids_and_names_whole_at_80_columns(
    redis: Redis, redis_url: str, worker_env: dict[str, str], env: Any, tmp_path: Path
) -> None:
    job_id = Outbox(redis_url).send(mail("slow-20.a@faults.example")).job_id
    name = "mail-worker-of-a-long-name.example.com.12345.0a1b2c"
    with running(["worker", "--timeout", "30", "--name", name], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "started")
        code, shown = on_terminal(["status", "--sample", "0"], env)
    assert code == 0
    assert job_id in shown
    assert name in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"^ {4}on \S+ \(\d+\), busy, 1 mail, \d+ threads", shown, re.MULTILINE), shown
