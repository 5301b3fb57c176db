"""`rq-ses send` where its output breaks off, where it is interrupted, and on a terminal."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from support.programs.processes import PATIENCE, run
from support.programs.send_command import COMMAND, MAIL, row, sent
from support.programs.terminal import run_on_terminal
from support.servers.valkey import url, valkey
from support.waiting import wait_for

# Output that breaks


def piped(command: str, arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `rq-ses send` in the place of "$@" of a shell's command; its exit code stands last on stderr."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *COMMAND, *arguments],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ('{ "$@"; echo "code $?" >&2; } | head -n 1', "Broken pipe"),
        ('"$@" >/dev/full; echo "code $?" >&2', "No space left on device"),
    ],
)
def test_ids_that_nobody_can_read_change_nothing_about_what_is_enqueued(
    redis: Redis, env: dict[str, str], tmp_path: Path, command: str, reason: str
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\n" * 3000)
    done = piped(command, ["--jsonl", str(file)], env)
    assert done.stderr.splitlines() == [
        f"Error: standard output can't be written ({reason}): going on without it",
        "3000 enqueued, 0 not",
        "code 1",
    ]
    assert redis.llen("rq:queue:mail") == 3000
    assert re.fullmatch(r"([0-9A-Za-z]{22}\n)?", done.stdout)


def test_reports_that_nobody_can_read_change_nothing_about_what_is_enqueued(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\nnonsense\n" * 1200)
    done = piped('"$@" 2>/dev/full; echo "code $?" >&2', ["--jsonl", str(file)], env)
    assert done.stderr == "code 1\n"
    assert len(done.stdout.split()) == redis.llen("rq:queue:mail") == 1200


def test_one_mail_whose_id_cannot_be_written_is_told_as_enqueued(redis: Redis, env: dict[str, str]) -> None:
    done = piped('"$@" >/dev/full', [*MAIL], env)
    [job_id] = (key.decode() for key in redis.lrange("rq:queue:mail", 0, -1))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: standard output can't be written (No space left on device): going on without it",
        f"enqueued as job {job_id}",
    ]


# Ctrl-C


def interruptible(command: list[str], env: dict[str, str], stdout: Any) -> subprocess.Popen[bytes]:
    # However this run was started: from a script's background SIGINT is ignored, and children inherit that.
    return subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def test_an_interrupt_says_what_was_enqueued_and_where_to_go_on(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    with (
        (tmp_path / "ids").open("wb") as ids,
        interruptible([*COMMAND, "--jsonl", "-"], env, ids) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(f"{row()}\n".encode() * 600 + b"nonsense\n")
        process.stdin.flush()
        wait_for(lambda: redis.llen("rq:queue:mail") == 500, within=PATIENCE)
        wait_for(lambda: (tmp_path / "ids").stat().st_size == 500 * 23)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert stderr.decode().splitlines() == ["500 enqueued, 0 not", "interrupted: go on at line 501"]
    assert redis.llen("rq:queue:mail") == 500


def test_an_interrupt_while_redis_hangs_is_told_with_the_lines_in_doubt(
    env: dict[str, str], tmp_path: Path
) -> None:
    with valkey(tmp_path) as server:
        env = {**env, "RQ_SES_REDIS_URL": url(server), "RQ_SES_ENQUEUE_TIMEOUT": "600"}
        server._process.send_signal(signal.SIGSTOP)
        try:
            with interruptible([*COMMAND, "--jsonl", "-"], env, subprocess.PIPE) as process:
                assert process.stdin is not None
                process.stdin.write(f"{row()}\n".encode() * 3)
                process.stdin.close()
                process.stdin = None
                wait_for(lambda: connected(process.pid, server.port), within=PATIENCE)
                # The first is held until the batch is counted, the next one isn't.
                process.send_signal(signal.SIGINT)
                wait_for(lambda: interrupted(process), within=PATIENCE)
                _, stderr = process.communicate(timeout=PATIENCE)
        finally:
            server._process.send_signal(signal.SIGCONT)
    assert process.returncode == 1
    assert stderr.decode().splitlines()[-2:] == [
        "0 enqueued, 0 not; lines 1 to 3 may be enqueued or not",
        "interrupted: go on at line 1",
    ]


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_file_that_breaks_off_is_told_with_what_was_done(env: dict[str, str], strict: list[str]) -> None:
    done = run(["send", "--jsonl", "/proc/self/mem", *strict], env)
    assert (done.returncode, done.stdout) == (1, "")
    why = "Error: the lines can't be read any more (Input/output error)"
    ended = f"{why}: nothing was sent\n" if strict else f"0 enqueued, 0 not\n{why}: go on at line 1\n"
    assert done.stderr == ended


def connected(pid: int, port: int) -> bool:
    found = subprocess.run(["cat", f"/proc/{pid}/net/tcp"], capture_output=True, text=True, check=True).stdout
    return any(
        line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01"
        for line in found.splitlines()[1:]
    )


def interrupted(process: subprocess.Popen[bytes]) -> bool:
    """Interrupt it, and see whether it ends: two signals in one moment are one to Python."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        return False
    return True


# The progress bar


def test_the_progress_bar_stands_on_the_terminal_and_the_ids_on_stdout(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    file, ids = tmp_path / "mails.jsonl", tmp_path / "ids"
    file.write_text(f"{row()}\n" * 2000 + "nonsense\n")
    with ids.open("wb") as stdout:
        code, shown = run_on_terminal([*COMMAND, "--jsonl", str(file)], env, stdout=stdout)
    assert code == 1
    queued = Queue("mail", connection=redis, serializer=JSONSerializer).get_job_ids()
    assert ids.read_bytes() == "".join(f"{job_id}\n" for job_id in queued).encode()
    assert len(queued) == 2000
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "enqueueing" in plain
    assert "━" in plain
    assert re.search(r"\d+% \d+ lines", plain)
    assert "line 2001: not JSON" in plain
    assert plain.rstrip().endswith("2000 enqueued, 1 not")
    assert not re.search(r"[0-9A-Za-z]{22}", plain)


def test_on_a_terminal_alone_neither_ids_nor_reports_tear_the_bar(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\nnonsense\n" * 20)
    code, shown = run_on_terminal([*COMMAND, "--jsonl", str(file)], env)
    assert code == 1
    # The bar's line is erased before anything is written in its place.
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.split("\r\n")]
    assert sum(re.fullmatch(r"[0-9A-Za-z]{22}", line) is not None for line in lines) == 20
    assert sum(line.startswith("line ") for line in lines) == 20


def test_no_bar_is_drawn_where_stderr_is_no_terminal(env: dict[str, str]) -> None:
    done = sent(f"{row()}\n" * 1000, {**env, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})
    assert done.stderr == b"1000 enqueued, 0 not\n"
    assert b"\x1b" not in done.stdout
