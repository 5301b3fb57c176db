"""Compare two builds of rq-ses: a revision from git and the working tree, in alternation.

    python -m benchmarks.builds --against REV [--only life batches] [--pairs 5] [--mails 5000]

What the sections are, and what their figures say, is in README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.builds.batches import CHUNK, measure_batches, measure_memory
from benchmarks.builds.contest import contest
from benchmarks.builds.draining import measure_draining
from benchmarks.builds.life import PEER, measure_life
from benchmarks.builds.light import measure_light
from benchmarks.builds.pairs import alternate, table
from benchmarks.harness.build import Build
from benchmarks.harness.services import Store

SIZES = (16, 64)
ANSWER_AFTER = 0.05
WARM = 100
"""Mails before the first that are counted; with fewer, no figure means anything anyhow."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every section needs."""

    builds: tuple[Build, Build]
    redis: Store
    directory: Path
    pairs: int
    mails: int

    @property
    def names(self) -> list[str]:
        """What the columns are called."""
        return [of.name for of in self.builds]


def light(run: Run) -> Iterator[str]:
    """Commands that should cost little, and a worker that has nothing to do."""
    found = measure_light(run.builds, run.directory, commands=4 * run.pairs, workers=run.pairs)
    for title, rounds in zip(("commands", "idle workers"), found, strict=True):
        yield table(title, run.names, rounds)


def draining(run: Run) -> Iterator[str]:
    """A producer, and a worker of 16 threads."""
    for of in run.builds if run.mails > WARM else ():  # fills caches, and isn't counted
        measure_draining(of, run.redis, WARM)
    contestants = [partial(measure_draining, of, run.redis, run.mails) for of in run.builds]
    yield table("draining", run.names, alternate(contestants, run.pairs, title="draining"))


def batches(run: Run) -> Iterator[str]:
    """Claims and settlements by themselves."""
    chunk = min(run.mails, CHUNK)
    found = measure_batches(run.builds, run.redis, SIZES, 4 * run.pairs, chunk)
    for size, rounds in found.items():
        yield table(f"batches of {size}", run.names, rounds)
    memory = measure_memory(run.builds, run.redis, min(run.pairs, 3), min(run.mails, 2_000))
    yield table("memory", run.names, memory)


def life(run: Run) -> Iterator[str]:
    """Enqueued, sent, a receipt; beside dramatiq."""
    names = [*run.names, PEER.name]
    for delay, mails in ((0.0, run.mails), (ANSWER_AFTER, run.mails * 3 // 5)):
        rounds = measure_life(run.builds, run.redis, delay=delay, rounds=run.pairs, mails=max(1, mails))
        title = f"answers after {delay * 1e3:.0f} ms" if delay else "answers at once"
        yield table(title, names, rounds)


SECTIONS: dict[str, Callable[[Run], Iterator[str]]] = {
    "light": light,
    "draining": draining,
    "batches": batches,
    "life": life,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__.split("\n")[0])
    options.add_argument("--against", metavar="REV", help="a revision (default: the working tree, again)")
    options.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--mails", type=int, default=5_000, help="mails a round")
    given = options.parse_args(arguments)
    if min(given.pairs, given.mails) < 1:
        options.error("--pairs, --mails: give 1 at least")
    if "life" in given.only and not importlib.util.find_spec("dramatiq"):
        options.error(
            "life: there is no dramatiq to compare with; install the extra `bench`, or leave it out"
        )
    with contest(given.against, options) as held:
        run = Run((held.before, held.now), held.redis, held.directory, given.pairs, given.mails)
        for section in given.only:
            for shown in SECTIONS[section](run):
                print(f"\n{shown}", flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
