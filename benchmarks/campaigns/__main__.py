"""What a campaign costs beside the same mails one by one: 20 KB of HTML, 60 bytes of data a recipient.

    python -m benchmarks.campaigns --against REV [--only enqueue send growth] [--rounds 5] [--recipients N]

What the sections are, and what their figures say, is in README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.builds.contest import contest
from benchmarks.builds.pairs import Round, alternate, table
from benchmarks.campaigns.sending import drained
from benchmarks.harness.build import Build
from benchmarks.harness.driving import Driver, driver
from benchmarks.harness.serverreading import settled
from benchmarks.harness.services import Store

LENGTHS = (10_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Run:
    """What every section needs."""

    before: Build
    now: Build
    redis: Store
    rounds: int
    recipients: int


class Producer:
    """A producer of a build."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def do(self, order: str, *words: object) -> dict[str, Any]:
        """Return what it answers to an order."""
        told: dict[str, Any] = json.loads(self._driver.ask(order, *words))
        return told


@contextmanager
def producer(of: Build, redis: Store) -> Iterator[Producer]:
    """Run a build's producer until the block is left."""
    with driver(of, "campaigndriver", redis) as one:
        yield Producer(one)


def enqueue(run: Run) -> Iterator[str]:
    """The same recipients by send_many of the build before, by that of this one, and by send_bulk."""
    ways = ((run.before, "send_many"), (run.now, "send_bulk"), (run.now, "send_many"))
    with ExitStack() as held:
        contestants = [
            _contestant(held.enter_context(producer(of, run.redis)), way, run.redis, run.recipients)
            for of, way in ways
        ]
        for one in contestants:
            one()  # the server keeps their scripts
        rounds = alternate(contestants, run.rounds, title="enqueue")
    names = [f"{run.before.name}, send_many", "send_bulk", "send_many"]
    yield table(f"{run.recipients:,} recipients", names, rounds)


def _contestant(one: Producer, way: str, redis: Store, count: int) -> Callable[[], Round]:
    def measure() -> Round:
        redis.connection.flushall()
        empty = settled(redis)
        told = one.do(way, count)
        full = settled(redis)
        return {
            "recipients a second": count / told["seconds"],
            "producer's CPU, µs a recipient": told["cpu"] / count * 1e6,
            "Redis's CPU, µs a recipient": (full.cpu - empty.cpu) / count * 1e6,
            "Redis's memory, bytes a recipient": (full.memory - empty.memory) / count,
            "bytes of AOF a recipient": (full.aof - empty.aof) / count,
        }

    return measure


def growth(run: Run) -> Iterator[str]:
    """The same number of entries to a campaign of ten thousand, and to one of a million, by turns."""
    with producer(run.now, run.redis) as one:
        run.redis.connection.flushall()
        memory = [one.do("send_bulk", length, f"of-{length}", 0)["memory"] / 1024 for length in LENGTHS]
        contestants = [_growing(one, length, run) for length in LENGTHS]
        rounds = alternate(contestants, run.rounds, title="growth")
    yield table(f"{run.recipients:,} more", [f"{length:,} entries" for length in LENGTHS], rounds)
    before, after = memory
    small, large = LENGTHS
    yield f"The producer's memory: {before:,.1f} MB after {small:,}, {after:,.1f} MB after {large:,}."


def _growing(one: Producer, length: int, run: Run) -> Callable[[], Round]:
    place = 0

    def measure() -> Round:
        nonlocal place
        place += 1
        # One that has grown by as much as it had is no small one any more.
        name = f"of-{length}" if length > LENGTHS[0] else f"of-{length}-{place}"
        first = length + place * run.recipients if length > LENGTHS[0] else length
        if length == LENGTHS[0]:
            one.do("send_bulk", length, name, 0)
        before = settled(run.redis)
        told = one.do("send_bulk", run.recipients, name, first)
        after = settled(run.redis)
        return {
            "entries a second": run.recipients / told["seconds"],
            "producer's CPU, µs an entry": told["cpu"] / run.recipients * 1e6,
            "Redis's CPU, µs an entry": (after.cpu - before.cpu) / run.recipients * 1e6,
        }

    return measure


def send(run: Run) -> Iterator[str]:
    """The same recipients, sent by one worker of 16 threads to a stand-in that answers at once."""
    ways = ((run.before, "send_many", "mail"), (run.now, "send_bulk", "mail-bulk"))
    with ExitStack() as held:
        contestants = [
            _sender(of, held.enter_context(producer(of, run.redis)), way, queue, run)
            for of, way, queue in ways
        ]
        rounds = alternate(contestants, run.rounds, title="send")
    yield table(f"{run.recipients:,} recipients", [f"{run.before.name}, send_many", "send_bulk"], rounds)


def _sender(of: Build, one: Producer, way: str, queue: str, run: Run) -> Callable[[], Round]:
    def measure() -> Round:
        run.redis.connection.flushall()
        one.do(way, run.recipients)
        return drained(of, run.redis, queue, run.recipients)

    return measure


SECTIONS: dict[str, Callable[[Run], Iterator[str]]] = {"enqueue": enqueue, "send": send, "growth": growth}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the tables."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.campaigns", description=__doc__.split("\n")[0]
    )
    options.add_argument("--against", metavar="REV", help="a revision (default: the working tree, again)")
    options.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--recipients", type=int, default=10_000, help="of a round")
    given = options.parse_args(arguments)
    if min(given.rounds, given.recipients) < 1:
        options.error("--rounds, --recipients: give 1 at least")
    with contest(given.against, options) as held:
        run = Run(held.before, held.now, held.redis, given.rounds, given.recipients)
        for section in given.only:
            for shown in SECTIONS[section](run):
                print(f"\n{shown}", flush=True)


if __name__ == "__main__":
    main()
