from __future__ import annotations

import subprocess
import sys

import pytest

from support.programs.processes import PATIENCE, environment

SCRIPT = """
import click
from rq_ses.cli.terminal.output import echo, leave

@click.command()
@click.argument("code", type=int)
def main(code):
    for number in range(3):
        echo(f"line {number}")
    echo("done 3", err=True)
    leave(code)

main()
"""


def run(code: int, *, redirect: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirect}', "sh", sys.executable, "-c", SCRIPT, str(code)],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "ended"), [(0, 1), (4, 4)])
def test_a_stdout_that_is_full_is_told_once_and_the_work_goes_on(code: int, ended: int) -> None:
    done = run(code, redirect=">/dev/full")
    assert done.stderr == (
        "Error: standard output can't be written (No space left on device): going on without it\ndone 3\n"
    )
    assert done.returncode == ended


def test_a_stderr_that_is_full_keeps_the_data_whole() -> None:
    done = run(0, redirect="2>/dev/full")
    assert (done.returncode, done.stdout) == (1, "line 0\nline 1\nline 2\n")


def test_a_reader_who_leaves_is_no_traceback() -> None:
    done = run(0, redirect="| true")
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("done 3\n")


def test_without_any_trouble_the_exit_code_stands() -> None:
    done = run(0, redirect="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "line 0\nline 1\nline 2\n", "done 3\n")


def test_what_a_stream_cannot_hold_is_replaced() -> None:
    script = "from rq_ses.cli.terminal.output import echo; echo('line \\u2022'); echo('after')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(PYTHONIOENCODING="latin-1"), capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"line ?\nafter\n")
