"""What becomes of the drain when the queue grows: the same window of mails at each length.

The queue is held at its length: as the worker takes mails, others are moved in from a reserve by a script on
the server, the same way at every length, so that 1,000 can be measured over as many mails as a million.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mails import POOL, message
from benchmarks.measure import POLL, Reading, environment, wait
from benchmarks.processtree import cores
from benchmarks.services import Program, Standin, Store, pinned
from benchmarks.stacks import OURS
from rq_ses import Outbox

_THREADS = 32
_RESERVE, _HELD = "bench:reserve", "bench:held"
_CHUNK = 10_000
_MOVE = """
local missing = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[2])
for _ = 1, missing do
  if not redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT') then break end
end
"""


@dataclass(slots=True)
class Length:
    """What was measured at one length of the queue."""

    queued: int
    rates: list[float] = field(default_factory=list)
    """Mails a second, of each window."""
    worker_ms: list[float] = field(default_factory=list)
    redis_ms: list[float] = field(default_factory=list)
    memory: float = 0.0
    """Bytes of Redis a queued mail."""


@dataclass(slots=True)
class Growth:
    """The curve."""

    window: int
    payload: float
    lengths: list[Length] = field(default_factory=list)
    enqueued: list[tuple[int, float]] = field(default_factory=list)
    """Length of the queue, and messages a second that were enqueued at it."""


def measure_growth(store: Store, lengths: Sequence[int], window: int, windows: int) -> Growth:
    """Fill the queue from length to length and drain `windows` windows of mails at each."""
    store.connection.flushall()
    mails = [message(number) for number in range(POOL)]
    growth = Growth(window, sum(len(mail.to_payload()) for mail in mails) / len(mails))
    move = store.connection.register_script(_MOVE)
    for length in lengths:
        reserve = window * windows + 2 * _THREADS
        measured = Length(length, memory=_fill(store, growth, length + reserve))
        move(keys=[OURS.queue_key, _RESERVE], args=[reserve])
        store.connection.rename(OURS.queue_key, _HELD)
        _drain(store, measured, window, windows, move)
        growth.lengths.append(measured)
    return growth


def _fill(store: Store, growth: Growth, length: int) -> float:
    """Bring the queue to `length` and return the bytes of Redis's memory a mail; the rates are noted."""
    mails = [message(number) for number in range(POOL)]
    outbox = Outbox(store.url)
    first = there = _number(store.connection.llen(OURS.queue_key))
    used = _steady(store)
    with pinned({cores()[0]}):
        while there < length:
            count = min(_CHUNK, length - there)
            began = time.perf_counter()
            outbox.send_many(mails[number % POOL] for number in range(count))
            if count == _CHUNK:
                growth.enqueued.append((there, count / (time.perf_counter() - began)))
            there += count
    return (_steady(store) - used) / (there - first)


def _steady(store: Store) -> int:
    """Return the memory in use once everything is on the disk, and no fork of the server is busy there."""
    time.sleep(1.2)
    while store.rewriting:
        time.sleep(0.2)
    return store.used_memory


def _drain(store: Store, measured: Length, window: int, windows: int, move: Any) -> None:
    redis = store.connection
    before = _finished(store)
    warm = 2 * _THREADS
    standin = Standin()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        variables = environment(store, standin, _THREADS, None)
        move(keys=[_RESERVE, OURS.queue_key], args=[warm])
        program = Program(OURS.command(_THREADS), variables, {cores()[0]}, Path(directory) / "log")
        try:
            wait(lambda: _finished(store) >= before + warm, program)
            time.sleep(0.3)
            start = Reading(program, store, standin)
            redis.rename(_HELD, OURS.queue_key)
            at = before + warm
            for _ in range(windows):
                sent = _hold(store, program, measured.queued, at + window, move) - at
                end = Reading(program, store, standin)
                measured.rates.append(sent / (end.at - start.at))
                measured.worker_ms.append((end.worker - start.worker) * 1000 / sent)
                measured.redis_ms.append((end.redis - start.redis) * 1000 / sent)
                start = end
                at += sent
        finally:
            program.stop()
            standin.kill()


def _hold(store: Store, program: Program, length: int, target: int, move: Any) -> int:
    """Hold the queue's length until `target` mails have been sent in all; return how many then have."""
    while (finished := _finished(store)) < target:
        move(keys=[_RESERVE, OURS.queue_key], args=[length])
        program.check()
        time.sleep(POLL)
    return finished


def _finished(store: Store) -> int:
    return _number(store.connection.zcard("rq:finished:mail"))


def _number(reply: Any) -> int:
    return int(reply)
