"""What a worker takes to send what is queued for it: mails that are whole, or a campaign's bulk jobs."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.builds.pairs import Round
from benchmarks.harness.build import Build
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds, peak_rss
from benchmarks.harness.serverreading import ServerReading, settled
from benchmarks.harness.services import Program, Standin, Store
from benchmarks.stacks import OURS

_PARKED = "bench:parked"
_THREADS = 16
_WARM = 20
"""One in so many jobs warms the worker up, and isn't counted."""


def drained(of: Build, redis: Store, queue: str, recipients: int) -> Round:
    """Let a worker of a build, on one core, send what is queued; return what that took.

    Args:
        of: the worker's build.
        redis: where the jobs are.
        queue: their queue's name.
        recipients: how many they are for.
    """
    connection, key = redis.connection, f"rq:queue:{queue}"
    connection.rename(key, _PARKED)
    jobs: Any = connection.lrange(_PARKED, 0, -1)
    warm = max(1, len(jobs) // _WARM)
    counted = recipients * (len(jobs) - warm) / len(jobs)
    standin = Standin()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        variables = {**environment(redis, standin, _THREADS, None), **of.variables}
        program = Program(OURS.command(_THREADS), variables, {cores()[0]}, Path(directory) / "log")
        try:
            wait(lambda: bool(connection.exists("rq:workers")), program)
            _send(redis, queue, jobs[:warm], program)
            before, cpu, began = settled(redis), cpu_seconds(program.pid), time.perf_counter()
            _send(redis, queue, jobs[warm:], program)
            seconds = time.perf_counter() - began
            cpu, after = cpu_seconds(program.pid) - cpu, ServerReading(redis)
            found = {
                "recipients a second": counted / seconds,
                "worker's CPU, µs a recipient": cpu * 1e6 / counted,
                "Redis's CPU, µs a recipient": (after.cpu - before.cpu) * 1e6 / counted,
                "bytes of AOF a recipient": (settled(redis).aof - before.aof) / counted,
                "busy worker: peak MB": peak_rss(program.pid) / 1e6,
            }
            program.stop()
            entries = standin.stop()["entries"]
        finally:
            program.stop()
            standin.kill()
    if entries != recipients:
        raise RuntimeError(f"{of.name}: {entries} recipients were sent to, of {recipients}")
    return found


def _send(redis: Store, queue: str, jobs: list[bytes], program: Program) -> None:
    """Queue jobs, and wait until they are sent."""
    connection, key = redis.connection, f"rq:queue:{queue}"
    for at in range(0, len(jobs), 1000):
        connection.rpush(key, *jobs[at : at + 1000])
    started = f"rq:wip:{queue}"
    wait(lambda: not connection.llen(key) and not connection.zcard(started), program)
