"""The real command line, as processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.programs.warm import warmed
from support.waiting import PATIENCE

KEY_ID, SECRET, TOKEN = "AKIDOFTHETESTS", "secret/of+the/tests/0123456789", "token-of-the-tests=="


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without AWS's and our settings, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_"))}
    return {**kept, **variables}


def worker_environment(redis_url: str, ses_url: str, **variables: str) -> dict[str, str]:
    """Return what a worker needs to send to a simulator with the test's credentials."""
    return environment(
        RQ_SES_REDIS_URL=redis_url,
        RQ_SES_BASE_URL=ses_url,
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID=KEY_ID,
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_SESSION_TOKEN=TOKEN,
        **variables,
    )


def run(
    arguments: Sequence[str], env: Mapping[str, str], *, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `rq-ses` to its end and return what it printed and its exit code."""
    # A worker may start processes of its own, and they are to be such as a user's are.
    if arguments[:1] != ["worker"] and (warm := warmed(env)):
        return warm.run(arguments, env, stdin, PATIENCE)
    return subprocess.run(
        [sys.executable, "-m", "rq_ses", *arguments],
        env=dict(env), capture_output=True, text=True, timeout=PATIENCE, check=False,
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
    )  # fmt: skip


class Process:
    """A running `rq-ses` command; its output goes to a file."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text()

    def kill(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, wait for its end, and return its exit code."""
        if self.running:
            self.kill(number)
        return self._process.wait(PATIENCE)


@contextmanager
def running(arguments: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run `rq-ses` with arguments until the block is left."""
    process = Process(["-m", "rq_ses", *arguments], env, log)
    try:
        yield process
    finally:
        process.stop(signal.SIGKILL)


@contextmanager
def running_module(arguments: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run Python with arguments until the block is left, then let it end its children (RQ's scheduler)."""
    process = Process(arguments, env, log)
    try:
        yield process
    finally:
        process.stop(signal.SIGTERM)
