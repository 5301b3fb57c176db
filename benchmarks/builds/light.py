"""What commands cost that should cost little, and the memory of a worker that has nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.builds.pairs import Round, alternate
from benchmarks.harness.build import ROOT, Build
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds, peak_rss, rss
from benchmarks.harness.services import Program, Standin, Store, pinned, store
from benchmarks.stacks import OURS

THREADS = 16
IDLE = 2.0
"""Seconds that a worker has been ready when its memory is read."""

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import rq_ses": ("-c", "import rq_ses"),
    "rq-ses --help": ("-m", "rq_ses", "--help"),
    "rq-ses health": ("-m", "rq_ses", "health"),
}
"""The first is what every other one costs before it has begun."""


def measure_light(
    builds: Sequence[Build], directory: Path, *, commands: int, workers: int
) -> tuple[list[tuple[Round, ...]], list[tuple[Round, ...]]]:
    """Return so many rounds of the commands, and of workers; each build has a server of its own."""
    with ExitStack() as held:
        short: list[Callable[[], Round]] = []
        idle: list[Callable[[], Round]] = []
        standin = Standin()
        held.callback(standin.kill)
        for place, of in enumerate(builds):
            redis = held.enter_context(store(directory / f"light-{place}"))
            held.enter_context(_worker(of, redis, standin))
            short.append(partial(_commands, of, redis))
            idle.append(partial(_idle, of, redis, standin))
            short[-1]()  # fills caches, and isn't counted
        return alternate(short, commands, title="commands"), alternate(idle, workers, title="workers")


def _commands(of: Build, redis: Store) -> Round:
    return {f"{name}: CPU, ms": _cpu(of, redis, given) * 1e3 for name, given in COMMANDS.items()}


def _idle(of: Build, redis: Store, standin: Standin) -> Round:
    found = {}
    with _worker(of, redis, standin) as program:
        found["a worker until it is ready: CPU, ms"] = cpu_seconds(program.pid) * 1e3
        time.sleep(IDLE)
        found["an idle worker: MB of RSS"] = rss(program.pid) / 1e6
        found["an idle worker: peak MB"] = peak_rss(program.pid) / 1e6
    return found


@contextmanager
def _worker(of: Build, redis: Store, standin: Standin) -> Iterator[Program]:
    """Run a worker of a build from the moment it is ready until the block is left."""
    there = int(redis.connection.scard("rq:workers"))
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        variables = {**environment(redis, standin, THREADS, None), **of.variables}
        program = Program(OURS.command(THREADS), variables, {cores()[0]}, Path(directory) / "log")
        try:
            wait(lambda: int(redis.connection.scard("rq:workers")) > there, program)
            yield program
        finally:
            program.stop()


def _cpu(of: Build, redis: Store, arguments: Sequence[str]) -> float:
    """Return the CPU seconds of a command, which has to succeed, on the worker's core."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_"))}
    with pinned({cores()[0]}):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**kept, "RQ_SES_REDIS_URL": redis.url, **of.variables},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{of.name}: {' '.join(arguments)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime
