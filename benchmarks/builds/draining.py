"""What a worker costs from its start to the end of a queue, and a producer that fills it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.builds.pairs import Round
from benchmarks.harness.build import ROOT, Build
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds, peak_rss
from benchmarks.harness.serverreading import ServerReading, settled
from benchmarks.harness.services import Program, Standin, Store, pinned
from benchmarks.stacks import OURS

_PARKED = "bench:parked"
_THREADS = 16


def measure_draining(of: Build, store: Store, mails: int) -> Round:
    """Return the figures of one build, in an emptied store."""
    return {**_sending(of, store, mails), **_draining(of, store, mails)}


def _sending(of: Build, redis: Store, mails: int) -> Round:
    """Return what single calls of send cost."""
    single = max(1, mails // 5)
    redis.connection.flushall()
    reading = ServerReading(redis)
    cpu = json.loads(_run(of, "-m", "benchmarks.harness.enqueuer", "send", redis.url, str(single)))
    return {
        "Message(…): CPU, µs": cpu["build"] * 1e6 / single,
        "send: CPU, µs a mail": cpu["send"] * 1e6 / single,
        "send: Redis's CPU, µs a mail": (ServerReading(redis).cpu - reading.cpu) * 1e6 / single,
    }


def _draining(of: Build, redis: Store, mails: int) -> Round:
    """Enqueue mails by send_many, let a worker send them, and return what both took."""
    redis.connection.flushall()
    empty = settled(redis)
    cpu = json.loads(_run(of, "-m", "benchmarks.harness.enqueuer", "send_many", redis.url, str(mails)))
    queued = settled(redis)
    worker, total = _drain(of, redis, mails)
    done = settled(redis)
    return {
        "send_many: CPU, µs a mail": cpu["send"] * 1e6 / mails,
        "send_many: Redis's CPU, µs a mail": (queued.cpu - empty.cpu) * 1e6 / mails,
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
            before, cpu = settled(redis), cpu_seconds(program.pid)
            connection.rename(_PARKED, OURS.queue_key)
            wait(lambda: OURS.left(connection, warm + mails, 0) <= 0, program)
            cpu, after = cpu_seconds(program.pid) - cpu, ServerReading(redis)
            found |= {
                "drain: worker's CPU, µs a mail": cpu * 1e6 / mails,
                "drain: Redis's CPU, µs a mail": (after.cpu - before.cpu) * 1e6 / mails,
                "drain: bytes of AOF a mail": (settled(redis).aof - before.aof) / mails,
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
