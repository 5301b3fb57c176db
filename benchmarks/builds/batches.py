"""What a mail's states cost Redis when nobody but the batch's size says how many are claimed at once.

Both builds have a driver (harness/lifedriver.py) at the same server, and take turns by chunks of a few
hundred mails: what a whole run's figures differ by from minute to minute meets both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.builds.pairs import Round, alternate
from benchmarks.harness.build import Build
from benchmarks.harness.driving import Driver, driver
from benchmarks.harness.serverreading import ServerReading, settled
from benchmarks.harness.services import Store

CHUNK = 256
STANDING = 10
"""Chunks of receipts that stand already, of each build, when the first is measured."""


class Client:
    """A build's client, and the server that it works with."""

    def __init__(self, driver: Driver, store: Store) -> None:
        self._driver = driver
        self._store = store

    def do(self, order: str, *numbers: int) -> tuple[float, float, float]:
        """Return the CPU seconds of Redis, the bytes of its file and the client's CPU seconds of an order."""
        before = ServerReading(self._store)
        time.sleep(0.005)  # a thread's time is counted when it stops running
        began = self._store.cpu
        answer = self._driver.ask(order, *numbers)
        time.sleep(0.005)
        used = self._store.cpu - began
        return used, ServerReading(self._store).aof - before.aof, float(answer)


@contextmanager
def client(of: Build, store: Store) -> Iterator[Client]:
    """Run the client of a build until the block is left."""
    with driver(of, "lifedriver", store) as one:
        yield Client(one, store)


def measure_batches(
    builds: Sequence[Build], store: Store, sizes: Sequence[int], rounds: int, chunk: int = CHUNK
) -> dict[int, list[tuple[Round, ...]]]:
    """Return, by the size of a batch, so many rounds of a chunk of mails of each build."""
    store.connection.flushall()
    with ExitStack() as held:
        clients = [held.enter_context(client(of, store)) for of in builds]
        for _ in range(STANDING):
            for one in clients:
                one.do("send_many", chunk)
                one.do("drive", chunk, max(sizes))
        return {
            size: alternate(
                [partial(_chunk, one, size, chunk) for one in clients], rounds, title=f"batches of {size}"
            )
            for size in sizes
        }


def measure_memory(builds: Sequence[Build], store: Store, rounds: int, mails: int) -> list[tuple[Round, ...]]:
    """Return the bytes of memory of a queued mail and of a receipt, in an emptied store."""
    with ExitStack() as held:
        clients = [held.enter_context(client(of, store)) for of in builds]
        for one in clients:  # the server keeps their scripts
            one.do("send_many", mails)
            one.do("drive", mails, 64)
        return alternate(
            [partial(_memory, one, store, mails) for one in clients], rounds, title="memory of a mail"
        )


def _chunk(one: Client, size: int, chunk: int) -> Round:
    single = one.do("send", chunk)
    one.do("drive", chunk, size)
    queued = one.do("send_many", chunk)
    driven = one.do("drive", chunk, size)
    found: Round = {}
    for name, parts in {
        "send": (single,),
        "send_many": (queued,),
        "claim and settle": (driven,),
        "whole life, by send_many": (queued, driven),
        "whole life, by send": (single, driven),
    }.items():
        redis, aof, client = (sum(column) / chunk for column in zip(*parts, strict=True))
        found[f"{name}: Redis's CPU, µs a mail"] = redis * 1e6
        found[f"{name}: bytes of AOF a mail"] = aof
        found[f"{name}: client's CPU, µs a mail"] = client * 1e6
    return found


def _memory(one: Client, store: Store, mails: int) -> Round:
    store.connection.flushall()
    empty = settled(store)
    one.do("send_many", mails)
    queued = settled(store)
    one.do("drive", mails, 64)
    done = settled(store)
    return {
        "a queued mail: bytes of memory": (queued.memory - empty.memory) / mails,
        "a sent mail's receipt: bytes of memory": (done.memory - empty.memory) / mails,
    }
