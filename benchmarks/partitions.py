"""What several partitions of a queue carry, each on a server of its own, where Redis is the bound.

    python -m benchmarks.partitions [--partitions 2] [--rounds 5] [--seconds 3] [--cluster]

README.md says how it is measured. With --cluster the servers are primaries of one cluster, and every client
has the same URL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from redis.crc import key_slot

from benchmarks.builds.pairs import Round, alternate, table
from benchmarks.harness.build import ROOT
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Store, pinned, store

CLIENTS = 3
"""Processes a partition: its server never waits for one alone."""
SHARE = 8
"""Programs that share the servers' core: a server that has an eighth of it is the bound of its clients."""
BATCH = 64
SLOTS = 16_384
_CPU = "Redis's CPU, µs a mail"
_MEMORY = Path("/dev/shm")
"""Where there is one, files are kept there: tens of MB a second, and the disk isn't what is measured."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured: so many servers, and what their clients are told."""

    stores: Sequence[Store]
    url: str
    """Of the cluster; "" where each server is by itself."""
    seconds: float

    def variables(self, number: int) -> dict[str, str]:
        """Return the environment of a partition's clients."""
        return {"RQ_KEY_PREFIX": tag(number), "RQ_SES_REDIS_URL": self.url or self.stores[number].url}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the table."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.partitions", description=__doc__.split("\n")[0]
    )
    options.add_argument("--partitions", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=3.0, help="of a round")
    options.add_argument("--cluster", action="store_true", help="the servers are primaries of one cluster")
    given = options.parse_args(arguments)
    if not 2 <= given.partitions < SHARE or given.rounds < 1 or given.seconds <= 0:
        options.error(f"give 2 partitions (and fewer than {SHARE}), 1 round, and a part of a second at least")
    os.sched_setaffinity(0, {cores()[0]})
    files = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=files) as name, ExitStack() as held:
        several = held.enter_context(_servers(Path(name), given.partitions, cluster=given.cluster))
        url = _form_cluster(several) if given.cluster else ""
        load = Load(several, url, given.seconds)
        clients = [
            [held.enter_context(_client(load, number)) for _ in range(CLIENTS)]
            for number in range(given.partitions)
        ]
        contestants = [partial(_measure, load, clients[:1]), partial(_measure, load, clients)]
        for one in contestants:  # fills caches, and isn't counted
            one()
        rounds = alternate(contestants, given.rounds, title="partitions")
    print(table("", ["one partition", f"{given.partitions} partitions"], rounds))
    gains = [given.partitions * one[_CPU] / several[_CPU] for one, several in rounds]
    print(f"\nBy Redis's CPU a mail, {given.partitions} partitions carry {median(gains):.2f} × one.")


def tag(number: int) -> str:
    """Return the prefix of a partition, which puts all its keys into one slot."""
    return f"{{mail{number}}}"


@contextmanager
def _servers(directory: Path, count: int, *, cluster: bool) -> Iterator[list[Store]]:
    """Run so many servers on the core that isn't the clients'."""
    more = {"auto-aof-rewrite-percentage": "0", **({"cluster-enabled": "yes"} if cluster else {})}
    with ExitStack() as held:
        with pinned({cores()[1]}):
            several = [held.enter_context(store(directory / str(number), **more)) for number in range(count)]
        yield several


def _form_cluster(stores: Sequence[Store]) -> str:
    """Make one cluster of empty servers: each owns the slot of its partition, the first all others too."""
    own = {key_slot(tag(number).encode()): number for number in range(1, len(stores))}
    first, *others = stores
    _call(first, "CLUSTER", "ADDSLOTS", *(slot for slot in range(SLOTS) if slot not in own))
    for slot, number in own.items():
        _call(stores[number], "CLUSTER", "ADDSLOTS", slot)
    for other in others:
        _call(first, "CLUSTER", "MEET", "127.0.0.1", other.url.rsplit(":", 1)[1].split("/")[0])
    end = time.monotonic() + 60
    while not all(b"cluster_state:ok" in _call(one, "CLUSTER", "INFO") for one in stores):
        if time.monotonic() > end:
            raise TimeoutError("the servers have not become a cluster")
        time.sleep(0.1)
    return "redis+cluster://" + ",".join(one.url.removeprefix("redis://").split("/")[0] for one in stores)


def _call(of: Store, *command: Any) -> bytes:
    """Return a reply as it came: redis-py makes objects of those of some commands."""
    connection = of.connection.connection_pool.get_connection()
    try:
        connection.send_command(*command)
        reply: bytes = connection.read_response()
    finally:
        of.connection.connection_pool.release(connection)
    return reply


def _measure(load: Load, clients: Sequence[Sequence[subprocess.Popen[str]]]) -> Round:
    """Let the clients of some partitions work, while hogs take what the servers shall not have of their core.

    So a server has the same share of it, however many there are, and the clients' core is never the bound.
    """
    used = load.stores[: len(clients)]
    for one in load.stores:
        one.connection.flushall()
        one.connection.bgrewriteaof()  # of nothing: the file is short again
        while one.rewriting:
            time.sleep(0.05)
    working = [client for several in clients for client in several]
    with ExitStack() as held:
        for _ in range(SHARE - len(used)):
            held.enter_context(_hog())
        before, began = sum(one.cpu for one in used), time.monotonic()
        for client in working:
            print("life", load.seconds, BATCH, file=client.stdin, flush=True)
        mails = sum(float(_answer(client)) for client in working)
        seconds, cpu = time.monotonic() - began, sum(one.cpu for one in used) - before
    return {
        "mails/s": mails / seconds,
        _CPU: cpu * 1e6 / mails,
        "the servers' share of their core, %": cpu * 100 / seconds,
    }


def _answer(client: subprocess.Popen[str]) -> str:
    line = client.stdout.readline() if client.stdout else ""
    if not line:
        raise RuntimeError("a client has ended: its standard error says why")
    return line


@contextmanager
def _client(load: Load, number: int) -> Iterator[subprocess.Popen[str]]:
    """Run a client of one partition until the block is left."""
    variables = load.variables(number)
    command = [sys.executable, "-m", "benchmarks.harness.lifedriver", variables["RQ_SES_REDIS_URL"]]
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _answer(process)  # it is ready
        yield process
    finally:
        process.communicate()


@contextmanager
def _hog() -> Iterator[None]:
    """Keep the servers' core busy with something else."""
    with pinned({cores()[1]}):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
