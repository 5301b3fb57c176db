"""One measurement: a stack, some mails, a stand-in; from the mails' release until all are settled.

The mails are enqueued and parked under another key, the worker is started and warmed up with a few others,
and then the parked list is renamed into place: neither starting nor enqueueing is in the figures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.processtree import (
    busy_seconds,
    cores,
    cpu_seconds,
    family,
    own_cpu_seconds,
    peak_rss,
    pin,
)
from benchmarks.harness.serverreading import settled
from benchmarks.harness.services import Certificate, Program, Standin, Store
from benchmarks.stacks import Stack

POLL = 0.01
_PATIENCE = 120.0
_FASTEST = 20_000
"""Mails a second that nobody exceeds."""
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
    processes: int = 1
    """Processes that send. Of two, one shares the core of Redis and the stand-in."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What else is in the worker's environment."""


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
    foreign_share: float
    """CPU seconds a second that others used of the worker's core: noise (unknown for several processes)."""
    surplus: int
    """Requests beyond one a mail and one a refusal."""
    enqueue_redis_ms: float
    """Redis's CPU to enqueue a mail; `redis_ms` is that to drain it."""
    aof: float
    """Bytes appended to Redis's file a mail, for both."""
    lateness: list[float] = field(default_factory=list)

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
    empty = settled(store)
    stack.fill(store.url, setting.mails, setting.refused)
    filled = settled(store)
    redis.rename(stack.queue_key, _PARKED)
    warm = 2 * setting.threads * setting.processes if setting.threads > 1 else 3
    stack.fill(store.url, warm)
    enqueued = setting.mails + warm
    standin = Standin(delay=setting.delay, certificate=setting.certificate)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        program = _start(setting, store, standin, Path(directory) / "log")
        try:
            wait(lambda: stack.left(redis, enqueued, setting.mails) <= 0, program)
            if setting.processes > 1:
                _spread(program, setting.processes)
            ready = settled(store)
            before = Reading(program, store, standin)
            redis.rename(_PARKED, stack.queue_key)
            _drain(stack, store, enqueued, program)
            after = Reading(program, store, standin)
            rss, done = peak_rss(program.pid), settled(store)
            program.stop()
            counts = standin.stop()
        finally:
            program.stop()
            standin.kill()
    surplus = counts["requests"] - enqueued - len(setting.refused)
    if surplus < 0:
        raise RuntimeError(f"{stack.name} calls {-surplus} mails done that were not sent")
    appended = filled.aof - empty.aof + done.aof - ready.aof
    beside = _Beside(rss, filled.cpu - empty.cpu, appended, surplus)
    return _figures(setting, before, after, counts, beside)


def environment(
    store: Store, standin: Standin, threads: int, certificate: Certificate | None
) -> dict[str, str]:
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
        "AWS_ACCESS_KEY_ID": "AKIDOFTHETESTS",
        "AWS_SECRET_ACCESS_KEY": "secret/of+the/tests/0123456789abcdefghij",
        "AWS_EC2_METADATA_DISABLED": "true",
        **trust,
    }


class Reading:
    """The clocks at one moment."""

    def __init__(self, program: Program, store: Store, standin: Standin) -> None:
        self.at = time.monotonic()
        self.worker = cpu_seconds(program.pid)
        self.redis = store.cpu
        self.standin = standin.cpu
        self.core = busy_seconds(cores()[0])


class _Beside(NamedTuple):
    """What is known when all is over, beside the clocks."""

    rss: int
    enqueueing: float
    """CPU seconds of Redis."""
    appended: int
    surplus: int


def _figures(
    setting: Setting, before: Reading, after: Reading, counts: dict[str, Any], beside: _Beside
) -> Figures:
    mails, seconds = setting.mails, after.at - before.at
    worker, redis = after.worker - before.worker, after.redis - before.redis
    return Figures(
        mails=mails,
        seconds=seconds,
        worker_ms=worker * 1000 / mails,
        redis_ms=redis * 1000 / mails,
        rss_mb=beside.rss / 1e6,
        connections=counts["connections"],
        standin_share=(after.standin - before.standin) / seconds,
        redis_share=redis / seconds,
        worker_share=worker / seconds,
        foreign_share=max(0.0, (after.core - before.core - worker) / seconds)
        if setting.processes == 1
        else 0.0,
        surplus=beside.surplus,
        enqueue_redis_ms=beside.enqueueing * 1000 / mails,
        aof=beside.appended / mails,
        lateness=counts["lateness"],
    )


def _drain(stack: Stack, store: Store, enqueued: int, program: Program) -> None:
    """Wait until all is settled, asking the less often the more is left: that costs Redis as well."""
    end = time.monotonic() + _PATIENCE
    while (left := stack.left(store.connection, enqueued, 0)) > 0:
        program.check()
        if time.monotonic() > end:
            raise TimeoutError(f"{left} mails are left after {_PATIENCE:g} s: {program.output}")
        time.sleep(min(max(POLL, left / _FASTEST), 0.25))


def wait(condition: Callable[[], bool], program: Program, *, within: float = _PATIENCE) -> None:
    """Wait for a condition.

    Raises RuntimeError if the program ends before, TimeoutError if it takes too long.
    """
    end = time.monotonic() + within
    while not condition():
        program.check()
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within:g} s: {program.output}")
        time.sleep(POLL)


def _start(setting: Setting, store: Store, standin: Standin, log: Path) -> Program:
    worker_core, other_core = cores()
    allowed = {worker_core} if setting.processes == 1 else {worker_core, other_core}
    variables = {
        **environment(store, standin, setting.threads, setting.certificate),
        **setting.variables,
    }
    return Program(setting.stack.command(setting.threads), variables, allowed, log)


def _spread(program: Program, processes: int) -> None:
    """Give each process that sends a core of its own, as far as there are cores."""
    members = sorted(family(program.pid), key=own_cpu_seconds, reverse=True)
    for place, pid in enumerate(members[:processes]):
        pin(pid, {cores()[place % 2]})
