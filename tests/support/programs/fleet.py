"""The workers of a test: real processes, all ended with it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from support.programs import dying_worker
from support.programs.processes import Process
from support.waiting import PATIENCE, wait_for

LEASE = float(os.environ.get("RQ_SES_FAULT_LEASE", "3"))
"""Seconds; the default of `rq-ses worker` is 30."""

DYING = str(Path(dying_worker.__file__))


class Fleet:
    """Starts `rq-ses worker`, ordinary ones and such that die at a named point."""

    def __init__(self, env: Mapping[str, str], logs: Path, *options: str) -> None:
        self.env = dict(env)
        self._logs = logs
        self._options = options
        self._workers: dict[str, Process] = {}

    def start(self, name: str, *options: str, dies: tuple[str, int] | None = None) -> Process:
        """Start a worker; with `dies` it is killed when it passes that point for the n-th time."""
        arguments = ["worker", "--name", name, *self._options, *options]
        head = [DYING, dies[0], str(dies[1])] if dies else ["-m", "rq_ses"]
        process = Process([*head, *arguments], self.env, self._logs / f"{name}.log")
        self._workers[name] = process
        return process

    def started(self, name: str, *options: str, dies: tuple[str, int] | None = None) -> Process:
        """Start a worker and wait until it is at work."""
        process = self.start(name, *options, dies=dies)
        wait_for(lambda: "sending mails of" in process.output, what=f"{name} at work")
        return process

    def died(self, name: str, within: float = PATIENCE) -> None:
        """Wait for a worker's death by SIGKILL."""
        process = self._workers[name]
        wait_for(lambda: not process.running, within=within, what=f"the death of {name}")
        assert process.stop() == -signal.SIGKILL, process.output[-2000:]

    def all_running(self) -> bool:
        """Tell whether none has ended."""
        return all(process.running for process in self._workers.values())

    @property
    def output(self) -> str:
        return "\n".join(process.output for process in self._workers.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, process in self._workers.items():
            process.stop(signal.SIGKILL)
            if kind:
                sys.stdout.write(f"--- {name}\n{process.output[-3000:]}\n")
