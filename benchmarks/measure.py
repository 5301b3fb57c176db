"""One measurement: a stack, a number of mails, a stand-in; from the first mail's release until all are settled.

The mails are enqueued and parked under another key, the worker is started and warmed up with a few others,
and then the parked list is renamed into place: neither starting nor enqueueing is in the figures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processtree import cores, cpu_seconds, peak_rss
from benchmarks.services import Certificate, Program, Standin, Store
from benchmarks.stacks import Stack

POLL = 0.01
_PATIENCE = 120.0
_PARKED = "bench:parked"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured."""

    stack: Stack
    mails: int
    threads: int = 32
    delay: float = 0.0
    """Seconds each answer of the stand-in takes."""
    certificate: Certificate | None = None
    refused: Sequence[int] = ()
    """Mails that are refused once."""
    both_cores: bool = False
    """The worker's processes may run on the core of Redis and the stand-in, too."""
    workers: int = 1
    """Workers started side by side."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out. Times in seconds unless named otherwise; CPU and memory of all its processes."""

    mails: int
    seconds: float
    worker_ms: float
    redis_ms: float
    rss_mb: float
    connections: int
    standin_share: float
    """CPU seconds of the stand-in a second: 1 would be the bottleneck."""
    redis_share: float
    worker_share: float
    requests: int
    lateness: dict[str, list[float]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Mails a second."""
        return self.mails / self.seconds


def measure(setting: Setting, store: Store) -> Figures:
    """Run one measurement in an emptied store.

    Raises RuntimeError if the worker ends before its work, TimeoutError if that isn't done in time.
    """
    stack, redis = setting.stack, store.connection
    redis.flushall()
    stack.fill(store.url, setting.mails, setting.refused)
    redis.rename(stack.queue_key, _PARKED)
    warm = 2 * setting.threads * setting.workers if setting.threads > 1 else 3
    stack.fill(store.url, warm)
    enqueued = setting.mails + warm
    standin = Standin(delay=setting.delay, certificate=setting.certificate)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        programs = [
            _start(setting, store, standin, Path(directory) / str(n)) for n in range(setting.workers)
        ]
        try:
            _wait(lambda: stack.left(redis, enqueued, setting.mails) <= 0, programs)
            time.sleep(0.3)
            before = _Reading(programs, store, standin)
            redis.rename(_PARKED, stack.queue_key)
            _wait(lambda: stack.left(redis, enqueued, 0) <= 0, programs)
            after = _Reading(programs, store, standin)
            rss = sum(peak_rss(program.pid) for program in programs)
            for program in programs:
                program.stop()
            counts = standin.stop()
        finally:
            for program in programs:
                program.stop()
            standin.kill()
    return _figures(setting.mails, before, after, rss, counts)


def environment(store: Store, standin: Standin, threads: int, certificate: Certificate | None) -> dict[str, str]:
    """Return the variables that tell ours and every peer where Redis and SES are."""
    trust = {}
    if certificate:
        authority = str(certificate.authority)
        trust = {"RQ_SES_CA_BUNDLE": authority, "BENCH_CA": authority, "AWS_CA_BUNDLE": authority}
    return {
        "BENCH_REDIS_URL": store.url,
        "BENCH_SES_URL": standin.url,
        "BENCH_THREADS": str(threads),
        "RQ_REDIS_URL": store.url,
        "RQ_SES_REDIS_URL": store.url,
        "RQ_SES_BASE_URL": standin.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "AWS_EC2_METADATA_DISABLED": "true",
        **trust,
    }


class _Reading:
    """The clocks at one moment."""

    def __init__(self, programs: Sequence[Program], store: Store, standin: Standin) -> None:
        self.at = time.monotonic()
        self.worker = sum(cpu_seconds(program.pid) for program in programs)
        self.redis = store.cpu
        self.standin = standin.cpu


def _figures(mails: int, before: _Reading, after: _Reading, rss: int, counts: dict[str, Any]) -> Figures:
    seconds = after.at - before.at
    worker, redis = after.worker - before.worker, after.redis - before.redis
    return Figures(
        mails=mails,
        seconds=seconds,
        worker_ms=worker * 1000 / mails,
        redis_ms=redis * 1000 / mails,
        rss_mb=rss / 1e6,
        connections=counts["connections"],
        standin_share=(after.standin - before.standin) / seconds,
        redis_share=redis / seconds,
        worker_share=worker / seconds,
        requests=counts["requests"],
        lateness=counts["lateness"],
    )


def _start(setting: Setting, store: Store, standin: Standin, log: Path) -> Program:
    worker_core, other_core = cores()
    allowed = {worker_core, other_core} if setting.both_cores else {worker_core}
    variables = environment(store, standin, setting.threads, setting.certificate)
    return Program(setting.stack.command(setting.threads), variables, allowed, log)


def _wait(condition: Callable[[], bool], programs: Sequence[Program]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        for program in programs:
            program.check()
        if time.monotonic() > end:
            raise TimeoutError(f"not within {_PATIENCE:g} s")
        time.sleep(POLL)
