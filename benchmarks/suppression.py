"""What the suppression list takes: bytes an address, and Redis's time a mail; and how fast mails pass it.

    python -m benchmarks.suppression [--addresses 1000000] [--rate 3000] [--seconds 10]

README.md says how it is measured. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds, pin
from benchmarks.harness.serverreading import settled
from benchmarks.harness.services import Program, Standin, Store, store
from rq_ses import Message, Outbox, contract
from rq_ses.keys import keys_of
from rq_ses.server.connection import connect
from rq_ses.suppression import Suppressed, Suppression
from rq_ses.suppression.entry import bucket_keys
from rq_ses.suppression.lookup import Lookup

SHARE = 0.02
"""Of the mails that are looked up, those to suppressed addresses."""

REPEATS = 15
LOOKUPS = 4_800
"""Mails of a measurement."""

_FIRST = ("anna", "ben", "carla", "david", "elena", "felix", "greta", "ivan", "julia", "max", "nina", "oskar")
_LAST = (
    "smith",
    "meyer",
    "garcia",
    "rossi",
    "novak",
    "silva",
    "dubois",
    "jansen",
    "kowalski",
    "brown",
    "tanaka",
)
_HOSTS = {
    "gmail.com": 34,
    "yahoo.com": 12,
    "hotmail.com": 10,
    "outlook.com": 7,
    "icloud.com": 5,
    "gmx.de": 4,
    "aol.com": 3,
    "web.de": 3,
    "orange.fr": 2,
}
"""Providers and their shares in per cent; the rest are companies' own domains."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the table."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.suppression", description=__doc__.split("\n")[0]
    )
    options.add_argument("--addresses", type=int, default=1_000_000)
    options.add_argument("--rate", type=float, default=3000.0, help="mails a second that are claimed by")
    options.add_argument("--seconds", type=float, default=10.0, help="for which they are")
    given = options.parse_args(arguments)
    os.sched_setaffinity(0, {cores()[0]})
    print("| what | figure |\n|---|---:|")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        store(Path(name), **{"auto-aof-rewrite-percentage": "0"}) as redis,
    ):
        pin(redis.pid, {cores()[1]})
        _fill(redis, given.addresses)
        for size in (8, 16, 64):
            look, ping = _looks(redis, size)
            _row(f"Redis's CPU for a look, claims of {size}, µs a mail", f"{look:.2f}")
            _row("of it the round trip, as that of a `PING`", f"{ping:.2f}")
        _row("Redis's own count of an `HGET`, µs", f"{_counted(redis):.2f}")
        _worker(redis, given.rate, given.seconds, Path(name))


def _row(what: str, figure: str) -> None:
    print(f"| {what} | {figure} |", flush=True)


def addresses(seed: int) -> Iterator[str]:
    """Yield addresses without end, each once: people's, at providers and companies."""
    chance = random.Random(seed)
    hosts, shares = list(_HOSTS), list(_HOSTS.values())
    seen: set[str] = set()
    while True:
        first, last, number = chance.choice(_FIRST), chance.choice(_LAST), chance.randrange(10_000)
        local = chance.choice(
            (
                f"{first}.{last}{number}",
                f"{first[0]}{last}{number}",
                f"{first}{number}",
                f"{last}.{first[:2]}{number}",
            )
        )
        own = chance.random() * 100 >= sum(shares)
        host = (
            f"{chance.choice(_LAST)}-{chance.choice(_LAST)}{chance.randrange(100)}.example"
            if own
            else chance.choices(hosts, shares)[0]
        )
        address = f"{local}@{host}"
        if address not in seen:
            seen.add(address)
            yield address


def _fill(redis: Store, count: int) -> None:
    """Put so many addresses onto the list, and tell what they take."""
    listed = list(islice(addresses(1), count))
    at = datetime.now(UTC)
    before = settled(redis)
    ours = Suppression(redis.url)
    began = time.perf_counter()
    ours.add_many(Suppressed(one, "bounce", at) for one in listed)
    seconds = time.perf_counter() - began
    after = settled(redis)
    _row("addresses", f"{count:,}")
    _row("their characters on average", f"{sum(map(len, listed)) / count:.1f}")
    _row("`used_memory`, bytes an address", f"{(after.memory - before.memory) / count:.1f}")
    _row("`MEMORY USAGE` of all keys, bytes an address", f"{_usage(redis) / count:.1f}")
    _row("added a second, 500 a call", f"{count / seconds:,.0f}")


def _usage(redis: Store) -> int:
    keys, total = bucket_keys(keys_of(redis.connection)), 0
    while some := list(islice(keys, 500)):
        with redis.connection.pipeline(transaction=False) as pipeline:
            for key in some:
                pipeline.memory_usage(key, samples=0)
            total += sum(one or 0 for one in pipeline.execute())
    return total


def _looks(redis: Store, size: int) -> tuple[float, float]:
    """Return µs of the server's CPU a mail for a look in claims of so many, and for a round trip alone."""
    asked = _asked(LOOKUPS)
    parts = [asked[start : start + size] for start in range(0, len(asked), size)]
    with connect(redis.url, socket_timeout=10, connect_timeout=5) as client:
        lookup = Lookup(client)
        looks, pings = [], []
        for _ in range(REPEATS):
            looks.append(_cpu(redis, parts, lookup.suppressed_of))
            pings.append(_cpu(redis, parts, lambda _: client.ping()))
    return median(looks) / LOOKUPS, median(pings) / LOOKUPS


def _counted(redis: Store) -> float:
    """Return the µs of an HGET, by the server's clock and its own statistics."""
    info: Any = redis.connection.info("commandstats")
    return float(info["cmdstat_hget"]["usec_per_call"])


def _cpu(redis: Store, parts: Sequence[Sequence[str]], work: Callable[[Sequence[str]], object]) -> float:
    """Return the µs of CPU that the server takes for some work."""
    before = redis.cpu
    for part in parts:
        work(part)
    return (redis.cpu - before) * 1e6


def _asked(count: int) -> list[str]:
    """Return recipients, of which a share is on the list."""
    listed, others = addresses(1), addresses(2)
    each = round(1 / SHARE)
    return [next(others) + ".example" if number % each else next(listed) for number in range(count)]


def _worker(redis: Store, rate: float, seconds: float, directory: Path) -> None:
    """Let a real worker send at this rate past the list, and tell how many it sent."""
    count = int(rate * seconds)
    mails = [
        Message(sender="shop@example.com", to=[one], subject=f"Order {number}", text="Thank you.")
        for number, one in enumerate(_asked(count))
    ]
    outbox = Outbox(redis.url)
    outbox.send_many(mails)
    standin = Standin()
    command = [sys.executable, "-m", "rq_ses", "worker", "--concurrency", "32", "--processes", "2"]
    variables = {**environment(redis, standin, 32, None), "RQ_SES_MAX_SEND_RATE": str(rate)}
    variables |= {"RQ_SES_LOG_LEVEL": "error", "RQ_SES_PREFLIGHT": "off"}
    connection: Any = redis.connection
    keys = keys_of(connection)
    finished, failed = (keys.registry(kind, contract.DEFAULT_QUEUE) for kind in ("finished", "failed"))

    def ended() -> int:
        return int(connection.zcard(finished) + connection.zcard(failed))

    program = Program(command, variables, set(cores()), directory / "log")
    try:
        wait(lambda: ended() > rate, program)
        began, before, cpu, spent = time.monotonic(), ended(), redis.cpu, cpu_seconds(program.pid)
        wait(lambda: ended() >= count, program, within=120.0)
        took, done = time.monotonic() - began, count - before
        _row(f"mails/s of a worker that may send {rate:,.0f}, 2 processes", f"{done / took:,.0f}")
        _row("of them suppressed, and failed", f"{connection.zcard(failed) / count:.1%}")
        _row("Redis's CPU a mail there, µs, all in all", f"{(redis.cpu - cpu) / done * 1e6:.1f}")
        _row("the worker's CPU a mail there, µs", f"{(cpu_seconds(program.pid) - spent) / done * 1e6:.0f}")
    finally:
        program.stop()
        standin.kill()


if __name__ == "__main__":
    main()
