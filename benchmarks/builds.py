"""Compare two builds of rq-ses: a revision from git and the working tree, in alternation.

    python -m benchmarks.builds --against REV [--pairs 5] [--mails 5000]

Of each pair the builds take turns in being first. A ratio is taken within a pair; the table's last column
has the ratios' median, the least and the greatest. What the figures are is in README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.build import ROOT, Build, build, export
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds, peak_rss
from benchmarks.harness.services import Program, Standin, Store, pinned, store
from benchmarks.stacks import OURS

Round = dict[str, float]
"""Figures by their name and unit, of one build in one pair."""

_PARKED = "bench:parked"
_THREADS = 16
_STARTS = {"import rq_ses": ("-c", "import rq_ses"), "rq-ses --help": ("-m", "rq_ses", "--help")}


def main() -> None:
    """Measure what the command line asks for, and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__.split("\n")[0])
    options.add_argument("--against", metavar="REV", help="a revision (default: the working tree, again)")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--mails", type=int, default=5_000, help="mails a round")
    given = options.parse_args()
    if min(given.pairs, given.mails) < 1:
        options.error("--pairs, --mails: give 1 at least")
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
            pairs = compare(before, now, redis, pairs=given.pairs, mails=given.mails)
    print(table(before.name, pairs))


def compare(before: Build, now: Build, redis: Store, *, pairs: int, mails: int) -> list[tuple[Round, Round]]:
    """Return so many pairs of rounds; one before them, of few mails, fills caches and isn't counted."""
    for each in (before, now):
        measure(each, redis, min(mails, 100))
    found = []
    for number in range(pairs):
        if number % 2:
            last = measure(now, redis, mails)
            found.append((measure(before, redis, mails), last))
        else:
            found.append((measure(before, redis, mails), measure(now, redis, mails)))
        print(f"pair {number + 1} of {pairs}", file=sys.stderr, flush=True)
    return found


def measure(of: Build, redis: Store, mails: int) -> Round:
    """Return the figures of one build, in an emptied store."""
    return {**_starting(of), **_sending(of, redis, mails), **_draining(of, redis, mails)}


def table(before: str, pairs: list[tuple[Round, Round]]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [f"| | {before} | working tree | ratio |", "|---|---:|---:|---:|"]
    for name in pairs[0][0]:
        old, new = [pair[0][name] for pair in pairs], [pair[1][name] for pair in pairs]
        ratios = [after / earlier for earlier, after in zip(old, new, strict=True) if earlier]
        ratio = f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})" if ratios else ""
        lines.append(f"| {name} | {median(old):,.1f} | {median(new):,.1f} | {ratio} |")
    return "\n".join(lines)


def _starting(of: Build) -> Round:
    """Return what short commands cost."""
    found = {}
    for name, arguments in _STARTS.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(of, *arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[f"{name}: CPU, ms"] = used * 1e3
    return found


def _sending(of: Build, redis: Store, mails: int) -> Round:
    """Return what single calls of send cost."""
    single = max(1, mails // 5)
    redis.connection.flushall()
    reading = Reading(redis)
    cpu = json.loads(_run(of, "-m", "benchmarks.harness.enqueuer", "send", redis.url, str(single)))
    return {
        "Message(…): CPU, µs": cpu["build"] * 1e6 / single,
        "send: CPU, µs a mail": cpu["send"] * 1e6 / single,
        "send: Redis's CPU, µs a mail": Reading(redis).cpu_since(reading) * 1e6 / single,
    }


def _draining(of: Build, redis: Store, mails: int) -> Round:
    """Enqueue mails by send_many, let a worker send them, and return what both took."""
    redis.connection.flushall()
    empty = _settled(redis)
    cpu = json.loads(_run(of, "-m", "benchmarks.harness.enqueuer", "send_many", redis.url, str(mails)))
    queued = _settled(redis)
    worker, total = _drain(of, redis, mails)
    done = _settled(redis)
    return {
        "send_many: CPU, µs a mail": cpu["send"] * 1e6 / mails,
        "send_many: Redis's CPU, µs a mail": queued.cpu_since(empty) * 1e6 / mails,
        "send_many: bytes of AOF a mail": (queued.aof - empty.aof) / mails,
        "a queued mail: bytes of memory": (queued.memory - empty.memory) / mails,
        **worker,
        "a sent mail's receipt: bytes of memory": (done.memory - empty.memory) / total,
    }


def _drain(of: Build, redis: Store, mails: int) -> tuple[Round, int]:
    """Let a warmed-up worker have the queued mails; return what that took, and how many it sent in all."""
    connection, warm = redis.connection, 2 * _THREADS
    connection.rename(OURS.queue_key, _PARKED)
    standin = Standin()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        variables = {**environment(redis, standin, _THREADS, None), **of.variables}
        program = Program(OURS.command(_THREADS), variables, {cores()[0]}, Path(directory) / "log")
        try:
            wait(lambda: bool(connection.exists("rq:workers")), program)
            found = {
                "worker until it is ready: CPU, ms": cpu_seconds(program.pid) * 1e3,
                "idle worker: MB": peak_rss(program.pid) / 1e6,
            }
            OURS.fill(redis.url, warm)
            wait(lambda: OURS.left(connection, warm, 0) <= 0, program)
            before, cpu = _settled(redis), cpu_seconds(program.pid)
            connection.rename(_PARKED, OURS.queue_key)
            wait(lambda: OURS.left(connection, warm + mails, 0) <= 0, program)
            cpu, after = cpu_seconds(program.pid) - cpu, Reading(redis)
            found |= {
                "drain: worker's CPU, µs a mail": cpu * 1e6 / mails,
                "drain: Redis's CPU, µs a mail": after.cpu_since(before) * 1e6 / mails,
                "drain: bytes of AOF a mail": (_settled(redis).aof - before.aof) / mails,
                "busy worker: peak MB": peak_rss(program.pid) / 1e6,
            }
            program.stop()
            requests = standin.stop()["requests"]
        finally:
            program.stop()
            standin.kill()
    if requests != warm + mails:
        raise RuntimeError(f"{of.name}: {requests} requests for {warm + mails} mails")
    return found, warm + mails


def _run(of: Build, *arguments: str) -> str:
    """Run Python with a build, on the worker's core, and return what it prints."""
    with pinned({cores()[0]}):
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **of.variables},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


class Reading:
    """The server's counts at one moment."""

    def __init__(self, redis: Store) -> None:
        info: Any = redis.connection.info("everything")
        self._cpu = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        self.aof = int(info["aof_current_size"])
        self.unwritten = int(info["aof_buffer_length"]) + int(info["aof_pending_bio_fsync"])
        self.memory = int(info["used_memory"])

    def cpu_since(self, before: Reading) -> float:
        """Return the CPU seconds used between."""
        return self._cpu - before._cpu


def _settled(redis: Store) -> Reading:
    """Return the counts once everything is in the append-only file, and the server has nothing to do."""
    time.sleep(0.3)
    while (reading := Reading(redis)).unwritten:
        time.sleep(0.1)
    return reading


if __name__ == "__main__":
    main()
