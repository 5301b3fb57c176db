"""Commands whose modules are loaded already (support.programs.warm) do as those of a new Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from support.mails.deadletters import fail
from support.mails.mail import mail
from support.programs.processes import PATIENCE, environment
from support.programs.send_command import jobs, row
from support.programs.warm import Warm


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    found = Warm(environment())
    yield found
    found.close()


@pytest.mark.parametrize(
    "command", [["failed", "--list"], ["--help"], ["nonsense"], ["show", "x"], ["status", "--queue", "a b"]]
)
def test_they_print_and_end_alike(warm: Warm, redis: Redis, env: dict[str, str], command: list[str]) -> None:
    fail(redis, [mail()])
    own = subprocess.run(
        [sys.executable, "-m", "rq_ses", *command],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    done = warm.run(command, env, None, PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (own.returncode, own.stdout, own.stderr)


def test_each_has_its_own_environment_directory_and_stdin(
    warm: Warm, redis: Redis, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.jsonl").write_text(row() + "\n" + row())
    assert warm.run(["send", "--jsonl", "two.jsonl"], env, None, PATIENCE).returncode == 0
    other = {**env, "RQ_SES_QUEUE": "other"}
    assert warm.run(["send", "--jsonl", "-"], other, row(), PATIENCE).returncode == 0
    assert (jobs(redis), redis.llen("rq:queue:other")) == (3, 1)


def test_one_that_takes_too_long_is_ended(warm: Warm, env: dict[str, str]) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["status", "--watch"], env, None, 2.0)
