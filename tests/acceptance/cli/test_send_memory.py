"""`rq-ses send --jsonl` in bounded memory, however long the file or a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from support.programs.processes import PATIENCE
from support.programs.send_command import COMMAND, row

ROOM = 96 * 1024 * 1024
"""Bytes of address space beyond which a process of ours may not grow from the start of its input on."""

BOUNDED = (
    sys.executable,
    "-c",
    "import resource, sys; from rq_ses.cli import main; from rq_ses.cli.sending import send; "
    "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
    f"resource.setrlimit(resource.RLIMIT_AS, (used + {ROOM},) * 2); "
    "main()",
    "send",
)


@pytest.mark.parametrize("options", [[], ["--strict"]])
def test_a_file_is_not_held_in_memory(
    redis: Redis, env: dict[str, str], tmp_path: Path, options: list[str]
) -> None:
    """Three times the room: 1000 mails with 300 KB of text each."""
    line = f"{row(text='Hello ' * 50_000)}\n".encode()
    command = [*BOUNDED, *options, "--jsonl", "-"]
    with (
        (tmp_path / "ids").open("wb") as ids,
        subprocess.Popen(
            command, env={**env, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=ids
        ) as process,
    ):
        assert process.stdin
        for _ in range(1000):
            process.stdin.write(line)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert len(set((tmp_path / "ids").read_text().split())) == 1000


def test_a_line_without_end_is_reported_and_the_next_one_sent(env: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "--jsonl", "-"], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for _ in range(140):
            process.stdin.write(b"x" * 1024 * 1024)
        process.stdin.write(f"\n{row()}".encode())
        process.stdin.close()
        assert len(process.stdout.read().split()) == 1
        assert process.stderr.read().startswith(b"line 1: longer than 134217728 bytes")
    assert process.returncode == 1
