"""What a campaign costs beside the same mails one by one: 20 KB of HTML, 60 bytes of data a recipient.

    python -m benchmarks.campaigns --against REV [--only enqueue send growth] [--rounds 5] [--recipients N]

What the sections are, and what their figures say, is in README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.builds.pairs import Round, alternate, table
from benchmarks.campaigns.sending import drained
from benchmarks.harness.build import ROOT, Build, build, export
from benchmarks.harness.processtree import cores
from benchmarks.harness.serverreading import settled
from benchmarks.harness.services import Store, pinned, store

LENGTHS = (10_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Run:
    """What every section needs."""

    before: Build
    now: Build
    redis: Store
    rounds: int
    recipients: int


class Driver:
    """A producer, as a process of its own on a core of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, order: str, *words: object) -> dict[str, Any]:
        """Return what it answers to an order."""
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise RuntimeError("the driver has no pipes")
        print(order, *words, file=sink, flush=True)
        answer = source.readline()
        if not answer:
            raise RuntimeError("the driver has ended: its standard error says why")
        told: dict[str, Any] = json.loads(answer)
        return told


@contextmanager
def driver(of: Build, redis: Store) -> Iterator[Driver]:
    """Run a build's producer until the block is left."""
    command = [sys.executable, "-m", "benchmarks.harness.campaigndriver", redis.url]
    with pinned({cores()[0]}):
        process = subprocess.Popen(
            command, env={**os.environ, **of.variables}, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        if process.stdout:
            process.stdout.readline()  # it is ready
        yield Driver(process)
    finally:
        process.communicate()


def enqueue(run: Run) -> Iterator[str]:
    """The same recipients by send_many of the build before, by that of this one, and by send_bulk."""
    ways = ((run.before, "send_many"), (run.now, "send_bulk"), (run.now, "send_many"))
    with ExitStack() as held:
        contestants = [
            _contestant(held.enter_context(driver(of, run.redis)), way, run.redis, run.recipients)
            for of, way in ways
        ]
        for one in contestants:
            one()  # the server keeps their scripts
        rounds = alternate(contestants, run.rounds, title="enqueue")
    names = [f"{run.before.name}, send_many", "send_bulk", "send_many"]
    yield table(f"{run.recipients:,} recipients", names, rounds)


def _contestant(one: Driver, way: str, redis: Store, count: int) -> Callable[[], Round]:
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
    with driver(run.now, run.redis) as one:
        run.redis.connection.flushall()
        memory = [one.do("send_bulk", length, f"of-{length}", 0)["memory"] / 1024 for length in LENGTHS]
        contestants = [_growing(one, length, run) for length in LENGTHS]
        rounds = alternate(contestants, run.rounds, title="growth")
    yield table(f"{run.recipients:,} more", [f"{length:,} entries" for length in LENGTHS], rounds)
    before, after = memory
    small, large = LENGTHS
    yield f"The producer's memory: {before:,.1f} MB after {small:,}, {after:,.1f} MB after {large:,}."


def _growing(one: Driver, length: int, run: Run) -> Callable[[], Round]:
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

    place = 0
    return measure


def send(run: Run) -> Iterator[str]:
    """The same recipients, sent by one worker of 16 threads to a stand-in that answers at once."""
    ways = ((run.before, "send_many", "mail"), (run.now, "send_bulk", "mail-bulk"))
    with ExitStack() as held:
        contestants = [
            _sender(of, held.enter_context(driver(of, run.redis)), way, queue, run) for of, way, queue in ways
        ]
        rounds = alternate(contestants, run.rounds, title="send")
    yield table(f"{run.recipients:,} recipients", [f"{run.before.name}, send_many", "send_bulk"], rounds)


def _sender(of: Build, one: Driver, way: str, queue: str, run: Run) -> Callable[[], Round]:
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
    os.sched_setaffinity(0, {cores()[1]})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        try:
            tree = export(given.against, directory / "tree") if given.against else ROOT
        except subprocess.CalledProcessError:
            options.error(f"--against: git can't export {given.against}")
        before = build(given.against or "working tree", tree, directory / "before")
        now = build("working tree", ROOT, directory / "now")
        with store(directory / "valkey") as redis:
            redis.connection.config_set("auto-aof-rewrite-percentage", 0)
            run = Run(before, now, redis, given.rounds, given.recipients)
            for section in given.only:
                for shown in SECTIONS[section](run):
                    print(f"\n{shown}", flush=True)


if __name__ == "__main__":
    main()
