"""`rq-ses failed`, `resend` and `import`, as an operator runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from rq_ses import Outbox, contract
from rq_ses.cli import main
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.ses.outcome import Terminal
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail, in_doubt, rejected
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, run, running
from support.programs.terminal import run_on_terminal
from support.waiting import wait_for

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url)


def queued(redis: Redis, queue: str = "mail") -> list[str]:
    return [one.decode() for one in redis.lrange(contract.queue_key(queue), 0, -1)]


def some(redis: Redis) -> list[str]:
    """Three that SES refused, and one it may have."""
    refusals = [*(rejected(f"user{n}@example.com", f"r-{n}") for n in range(3)), in_doubt()]
    return fail(redis, [mail(f"user{n}@example.com") for n in range(4)], refusals, age=7500)


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


# failed


def test_failed_mails_are_grouped_with_a_hint(redis: Redis, env: dict[str, str]) -> None:
    some(redis)
    fail(redis, [mail()], Terminal(403, "AccessDeniedException", "Not authorized"), queue="mail-bulk")
    done = run(["failed"], env)
    assert done.returncode == 0, done.stderr
    assert re.match(
        r" +3  MessageRejected: Email address is not verified\. .* EU-WEST-1: ADDRESS\n"
        r" +failed 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(2 h ago\)\n"
        r" +Hint: In the sandbox ",
        done.stdout,
    ), done.stdout
    assert re.search(r" 1  ReadTimeout: .*\n.*; SES may have accepted it\n", done.stdout)
    assert " 1  AccessDeniedException: Not authorized\n" in done.stdout
    assert done.stderr == "5 failed mails in 3 groups, the largest first (mail-high, mail, mail-bulk)\n"


def test_groups_lists_and_single_mails_are_printed_as_json(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    first, second = (json.loads(line) for line in run(["failed", "--json"], env).stdout.splitlines())
    assert (first["code"], first["count"], first["unknown"]) == ("MessageRejected", 3, 0)
    assert first["hint"]
    assert first["oldest"] == first["newest"]
    assert (second["code"], second["unknown"]) == ("ReadTimeout", 1)
    lines = run(["failed", "--list", "--json", "--code", "MessageRejected"], env).stdout.splitlines()
    assert {json.loads(line)["job_id"] for line in lines} == set(ids[:3])
    one = json.loads(run(["failed", ids[3], "--json"], env).stdout)
    assert (one["job_id"], one["unknown"], one["mail"]["to"]) == (ids[3], True, ["user3@example.com"])


def test_mails_are_listed_a_line_each(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["failed", "--list"], env)
    lines = done.stdout.splitlines()
    assert {line.partition(" ")[0] for line in lines} == set(ids)
    [line] = [line for line in lines if line.startswith(ids[3])]
    assert "user3@example.com → Hi | ReadTimeout: No answer within 5 s. [SES may have accepted it]" in line
    assert len(run(["failed", "--list", "--limit", "2"], env).stdout.splitlines()) == 2
    done = run(["failed", "--list", "--recipient", "user1@example.com", "--older-than", "2h"], env)
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [ids[1]]
    assert run(["failed", "--list", "--newer-than", "2h"], env).stdout == ""


def test_one_mail_is_shown_whole(redis: Redis, env: dict[str, str]) -> None:
    message = mail(
        cc=["copy@example.com"],
        tags={"kind": "news"},
        headers={"X-Order": "7"},
        text="Hello Anna,\n\n\x1b[2Jbye",
        html="<p>x</p>",
        attachments=[{"filename": "a.txt", "content": b"xxx"}],
    )
    [job_id] = fail(redis, [message])
    shown = run(["failed", job_id], env).stdout
    for line in (
        rf"^job +{job_id} \(queue mail\)$",
        r"^failed +2.*\(\d+ s ago\)$",
        r"^attempts +1 attempt$",
        r"^may be accepted +no$",
        r"^SES's answer +MessageRejected: Email .* \(HTTP 400, request id r-1\)$",
        r"^hint +In the sandbox",
        r"^from +Shop ‹shop@example.com›$",
        r"^to +anna@example.com$",
        r"^cc +copy@example.com$",
        r"^header +X-Order: 7$",
        r"^tag +kind=news$",
        r"^subject +Hi$",
        r"^attachment +a.txt \(text/plain, 3 bytes\)$",
        r"^text +20 characters$",
        r"^html +8 characters$",
        r"^Hello Anna,$",
        r"^\[2Jbye$",
    ):
        assert re.search(line, shown, re.MULTILINE), (line, shown)
    assert "\x1b" not in shown
    done = run(["failed", "no-such-job"], env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "job no-such-job is no failed mail of mail-high, mail, mail-bulk" in done.stderr


def test_what_strangers_wrote_obeys_neither_terminal_nor_markup(redis: Redis, env: dict[str, str]) -> None:
    [job_id] = fail(redis, [mail()])
    evil = "\x1b]0;x\x07[red]\u202e<b>"
    report = {"outcome": "terminal", "code": f"X{evil}", "message": evil, "ambiguous": False}
    redis.hset(
        f"rq:job:{job_id}",
        mapping={
            "description": evil,
            "exc_info": f"X{evil}: {evil}",
            "meta": json.dumps({"last_outcome": report}),
        },
    )
    for arguments in (["failed"], ["failed", "--list"], ["failed", job_id]):
        _, shown = run_on_terminal([sys.executable, "-m", "rq_ses", *arguments], env)
        assert "[red]" in shown
        assert not re.search(r"\x1b\]|[\x07\u202e<>]", shown), shown
    listed = json.loads(run(["failed", "--list", "--json"], env).stdout)
    assert listed["message"] == evil


# resend


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
    assert redis.zcard(contract.registry_key("finished", "mail")) == 3, worker.output


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
    assert redis.zcard(contract.registry_key("failed", "mail")) == 0


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


# export and import


def test_an_export_is_imported_into_an_empty_redis_and_sent(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    ids, file = some(redis), tmp_path / "failed.jsonl"
    done = run(["failed", "--export", str(file)], env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "4 mails written\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(["failed", "--export", "-"], env).stdout == file.read_text()
    done = run(["failed", "--export", str(file)], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already: give another name" in done.stderr

    before = run(["failed", "--list"], env).stdout
    redis.flushall()
    done = run(["import", str(file)], env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "4 put back as failed, 0 queued, 0 there already, 0 bad lines\n"
    assert sorted(run(["failed", "--list"], env).stdout.splitlines()) == sorted(before.splitlines())
    assert run(["import", "--json", str(file)], env).stdout == (
        '{"failed": 0, "queued": 0, "unknown": 0, "exists": 4, "bad": 0, "lines": 4}\n'
    )
    redis.flushall()
    done = run(["import", "--resend", "-"], env, stdin=f"{file.read_text()}nonsense\n")
    assert done.returncode == 1
    assert "line 5: not JSON" in done.stderr
    assert (
        "1 put back as failed, 3 queued, 0 there already, 1 bad line\n1 mail not queued: SES may"
        in done.stderr
    )
    assert sorted(queued(redis)) == sorted(ids[:3])


def test_a_file_that_can_t_be_written_is_an_error(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    some(redis)
    file = tmp_path / "failed.jsonl"
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f 0; exec "{sys.executable}" -m rq_ses failed --export "{file}"'],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"Error: --export: '{file}' can't be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr


# What is common to them


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
