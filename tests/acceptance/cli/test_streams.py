"""Commands started without a stream, with another encoding, and on terminals of odd sizes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from redis import Redis

from rq_ses.deadletter import DeadLetters
from support.mails.deadletters import fail
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import PATIENCE, environment
from support.programs.terminal import run_on_terminal

PROGRAM = [sys.executable, "-m", "rq_ses"]
LOOKING = (
    ["failed"],
    ["failed", "--list"],
    ["status", "--sample", "0"],
    ["breaker", "show"],
    ["audit", "--wait", "0"],
)

WORDS = {"failed": "MessageRejected", "status": "mail-bulk", "breaker": "closed"}
"""What each prints in any case."""


@pytest.fixture
def env(redis: Redis, redis_url: str) -> dict[str, str]:
    redis.hset(KEYS.account("default", "us-east-1"), "state", "closed")
    return environment(RQ_SES_REDIS_URL=redis_url, AWS_REGION="us-east-1")


def shell(line: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in which "$@" is rq-ses."""
    return subprocess.run(
        ["sh", "-c", line, "sh", *PROGRAM],
        env=dict(env), capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


ALL_CLOSED = "<&- >&- 2>&-"


# What is done about a stream that isn't there is done at the entry, for all commands.
@pytest.mark.parametrize(
    ("command", "closed"),
    [*((["failed"], closed) for closed in ("<&-", ">&-", "2>&-")), *((one, ALL_CLOSED) for one in LOOKING)],
)
def test_a_closed_stream_hinders_no_command(
    redis: Redis, env: dict[str, str], command: list[str], closed: str
) -> None:
    fail(redis, [mail()])
    done = shell(f'"$@" {" ".join(command)} {closed}', env)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    if ">&-" not in closed.split():
        assert done.stdout or command[0] == "audit"


@pytest.mark.parametrize(
    "command", ["failed --list --ids -", "resend --yes --ids -", "import -", "send --jsonl -"]
)
def test_a_closed_standard_input_is_not_an_empty_one(env: dict[str, str], command: str) -> None:
    done = shell(f'"$@" {command} <&-', env)
    assert done.returncode == 2
    assert b"standard input is closed: give a file" in done.stderr
    assert b"Traceback" not in done.stderr


ASCII = {"PYTHONIOENCODING": "ascii"}
ENCODINGS = (
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
)


@pytest.mark.parametrize(
    ("command", "variables"),
    [*((one, ASCII) for one in LOOKING), *((["failed", "--list"], one) for one in ENCODINGS)],
)
def test_what_cant_be_encoded_is_written_as_an_escape(
    redis: Redis, env: dict[str, str], command: list[str], variables: dict[str, str]
) -> None:
    fail(redis, [mail(subject="Größe → 中")])
    done = shell(f'"$@" {" ".join(command)}', {**env, **variables})
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    as_json = shell(f'"$@" {" ".join(command)} --json', {**env, **variables})
    for line in as_json.stdout.splitlines():
        json.loads(line)


# Other odd widths: tests/unit/cli/test_console.py.
@pytest.mark.parametrize("command", LOOKING[:4], ids=" ".join)
def test_no_width_makes_a_command_print_nothing(
    redis: Redis, env: dict[str, str], command: list[str]
) -> None:
    fail(redis, [mail()])
    odd = {**env, "COLUMNS": "0", "LINES": "0"}
    word = WORDS[command[0]]
    assert word in shell(f'"$@" {" ".join(command)}', odd).stdout.decode()
    code, shown = run_on_terminal([*PROGRAM, *command], odd, columns=80)
    assert (code, word in shown) == (0, True), shown


@pytest.mark.parametrize("command", LOOKING[:4], ids=" ".join)
def test_a_terminal_without_a_size_gets_all(redis: Redis, env: dict[str, str], command: list[str]) -> None:
    fail(redis, [mail()])
    code, shown = run_on_terminal([*PROGRAM, *command], env, columns=0, rows=0)
    assert (code, WORDS[command[0]] in shown) == (0, True), shown


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_terminal_without_colours_gets_none(
    redis: Redis, env: dict[str, str], command: list[str], variables: dict[str, str]
) -> None:
    fail(redis, [mail()])
    term = variables.get("TERM", "xterm-256color")
    code, shown = run_on_terminal([*PROGRAM, *command], {**env, **variables}, term=term)
    assert code == 0
    assert not re.search(r"\x1b\[(?:\d+;)*[349]\d", shown)
    if "TERM" in variables:
        assert "\x1b" not in shown


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_a_file_of_ids_is_read_whatever_its_editor_made_of_it(
    redis: Redis, env: dict[str, str], tmp_path: Path, end: str
) -> None:
    ids = fail(redis, [mail("a@example.com"), mail("b@example.com")])
    raw = f"\ufeff{ids[0]}{end}{ids[1]}{end}".encode()
    (tmp_path / "ids").write_bytes(raw)
    done = shell(f'"$@" failed --list --ids {tmp_path}/ids', env)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    done = shell(f'"$@" failed --list --ids - < {tmp_path}/ids || true', env)
    assert done.stderr.startswith(b"2 failed mails")


@pytest.mark.parametrize("command", ["failed --list --ids", "import", "send --jsonl"])
def test_a_file_in_utf_16_is_named_as_such(
    redis: Redis, env: dict[str, str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "f").write_text('{"job_id": 1}\n', "utf-16")
    done = shell(f'"$@" {command} {tmp_path}/f', env)
    assert done.returncode == 2
    assert b"can't be read: it is UTF-16: save it as UTF-8" in done.stderr
    assert redis.keys("rq:job:*") == []


def test_an_export_that_an_editor_saved_anew_is_imported(
    redis: Redis, redis_url: str, env: dict[str, str], tmp_path: Path
) -> None:
    fail(redis, [mail("a@example.com"), mail("b@example.com")])
    exported = shell('"$@" failed --export -', env).stdout
    redis.flushall()
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbf" + exported.replace(b"\n", b"\r\n"))
    assert shell(f'"$@" import {tmp_path}/f', env).returncode == 0
    assert DeadLetters(redis_url).groups().count == 2


def test_a_settings_file_with_a_byte_order_mark_and_other_line_ends_is_read(
    redis_url: str, tmp_path: Path
) -> None:
    for end in ("\r\n", "\r"):
        text = f'\ufeff[rq_ses]{end}queue = "post"{end}redis_url = "{redis_url}"{end}'
        (tmp_path / "c.toml").write_bytes(text.encode())
        done = shell('"$@" failed', environment(RQ_SES_CONFIG=str(tmp_path / "c.toml")))
        assert (done.returncode, b"post-high, post" in done.stderr) == (0, True), done.stderr
