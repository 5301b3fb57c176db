"""A page of the docs as a story: its files written, its programs and commands run, in their order."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.pages.documents import Block, Step, shown, steps
from support.programs.processes import PATIENCE
from support.waiting import wait_for

_EXPORT = re.compile(r"export\s+(?=\w+=)")


class Story:
    """A directory in which a page's blocks are run; ports of the page stand for free ones of this machine."""

    def __init__(self, directory: Path, env: Mapping[str, str], ports: Mapping[str, int]) -> None:
        self.directory = directory
        self._ports = ports
        self._env = {
            **env,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # A page shows what old and new versions of Django have in common.
            "PYTHONWARNINGS": "error,ignore:The EMAIL_BACKEND setting is deprecated",
            # Plugins of this project's own tests, which take a second to load.
            "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:anyio -p no:cacheprovider",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
            # A page tells of five seconds; nobody has to wait for them here.
            "RQ_SES_RATE_LIMITED_DELAY": "0.1",
            # The port that the simulator takes when none is named.
            "RQ_SES_SIMULATOR_PORT": str(ports.get("4579", 0)),
        }
        self._background: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> None:
        """Write the block to its file, or run it. Raises AssertionError when it doesn't do what is shown."""
        text = self._placed(block.text)
        if block.title:
            (self.directory / block.title).write_text(text)
        elif block.language == "python":
            self._program(text)
        elif block.language == "console":
            for step in steps(text):
                self._step(step)

    def close(self) -> None:
        """End what goes on in the background, and its children."""
        for process in self._background:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._background:
            process.wait(PATIENCE)

    def _placed(self, text: str) -> str:
        for port, free in self._ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        # What a program takes as the default server.
        return text.replace("Redis()", f"Redis(port={self._ports['6379']})")

    def _program(self, text: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            env=self._env, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stderr}"

    def _step(self, step: Step) -> None:
        if _EXPORT.match(step.command):
            assignments = shlex.split(_EXPORT.sub("", step.command, count=1))
            self._env.update(one.split("=", 1) for one in assignments)
        elif step.background:
            self._start(step)
        else:
            done = subprocess.run(
                ["bash", "-c", step.command],
                env=self._env, cwd=self.directory, capture_output=True, text=True,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
            told = f"$ {step.command}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, told
            if step.output:
                assert shown(step.output).fullmatch(done.stdout.strip()), f"{told}\nis not\n{step.output}"

    def _start(self, step: Step) -> None:
        log = self.directory / f"background-{len(self._background)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {step.command.removesuffix(' &')}"],
                env=self._env, cwd=self.directory, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._background.append(process)
        expected = shown(step.output)
        wait_for(lambda: expected.search(log.read_text()) or process.poll() is not None, what=step.command)
        assert process.poll() is None, f"$ {step.command}\n{log.read_text()}"


@contextmanager
def story(directory: Path, env: Mapping[str, str], ports: Mapping[str, int]) -> Iterator[Story]:
    """Run a page's blocks until the block is left."""
    told = Story(directory, env, ports)
    try:
        yield told
    finally:
        told.close()
