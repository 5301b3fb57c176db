"""What becomes of the drain when the queue grows: the same windows of mails at each length, by turns.

Each length has a server and a worker of its own, and they take turns, window by window, forth and back: a
slow minute of the machine meets all of them, and what they differ by within a round is the length. A queue
is held at its length: as its worker takes mails, others are moved in from a reserve by a script on the
server, the same way at every length, so that 1,000 can be measured over as many mails as a million. No
server writes its append-only file anew meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import services
from benchmarks.harness.mails import POOL, message
from benchmarks.harness.measure import POLL, Reading, environment, wait
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Program, Standin, Store, pinned
from benchmarks.stacks import OURS
from rq_ses import Outbox

_THREADS = 32
_WARM = 2 * _THREADS
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
    """Mails a second, of each round."""
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


def measure_growth(directory: Path, lengths: Sequence[int], window: int, rounds: int) -> Growth:
    """Fill a queue to each length and drain a window of mails from each, so many times."""
    mails = [message(number) for number in range(POOL)]
    growth = Growth(window, sum(len(mail.to_payload()) for mail in mails) / len(mails))
    with ExitStack() as held:
        standin = Standin()
        held.callback(standin.kill)
        fields = []
        for length in lengths:
            home = directory / f"growth-{length}"
            opened = held.enter_context(services.store(home))
            growth.enqueued, memory = _fill(opened, length + rounds * window + _WARM)
            growth.lengths.append(Length(length, memory=memory))
            fields.append(held.enter_context(_field(opened, growth.lengths[-1], standin, home / "log")))
        for number in range(rounds):
            for one in fields if number % 2 == 0 else reversed(fields):
                one.drain(window)
    return growth


def _fill(store: Store, length: int) -> tuple[list[tuple[int, float]], float]:
    """Bring an empty queue to `length`; return the rates on the way, and the bytes of memory a mail."""
    mails = [message(number) for number in range(POOL)]
    outbox = Outbox(store.url)
    rates: list[tuple[int, float]] = []
    there, used = 0, _steady(store)
    with pinned({cores()[0]}):
        while there < length:
            count = min(_CHUNK, length - there)
            began = time.perf_counter()
            outbox.send_many(mails[number % POOL] for number in range(count))
            if count == _CHUNK:
                rates.append((there, count / (time.perf_counter() - began)))
            there += count
    return rates, (_steady(store) - used) / there


def _steady(store: Store) -> int:
    """Return the memory in use once everything is on the disk, and no fork of the server is busy there."""
    time.sleep(1.2)
    while store.rewriting:
        time.sleep(0.2)
    return store.used_memory


@contextmanager
def _field(opened: Store, measured: Length, standin: Standin, log: Path) -> Iterator[_Field]:
    """Start a worker at a filled queue, warm it up, and put the rest out of its reach."""
    redis = opened.connection
    redis.config_set("auto-aof-rewrite-percentage", 0)
    variables = environment(opened, standin, _THREADS, None)
    redis.rename(OURS.queue_key, _HELD)
    move = redis.register_script(_MOVE)
    move(keys=[_HELD, OURS.queue_key], args=[_WARM])
    move(keys=[_HELD, _RESERVE], args=[redis.llen(_HELD) - measured.queued])
    program = Program(OURS.command(_THREADS), variables, {cores()[0]}, log)
    try:
        wait(lambda: _finished(opened) >= _WARM, program)
        yield _Field(opened, measured, standin, program, move)
    finally:
        program.stop()


@dataclass(frozen=True, slots=True)
class _Field:
    """A queue of one length, with its worker."""

    store: Store
    measured: Length
    standin: Standin
    program: Program
    move: Any

    def drain(self, window: int) -> None:
        """Let the worker have the queue for so many mails, holding its length, and note how fast it was."""
        redis, measured = self.store.connection, self.measured
        before = _finished(self.store)
        start = Reading(self.program, self.store, self.standin)
        redis.rename(_HELD, OURS.queue_key)
        while (sent := _finished(self.store) - before) < window:
            self.move(keys=[_RESERVE, OURS.queue_key], args=[measured.queued])
            self.program.check()
            time.sleep(POLL)
        end = Reading(self.program, self.store, self.standin)
        redis.rename(OURS.queue_key, _HELD)
        measured.rates.append(sent / (end.at - start.at))
        measured.worker_ms.append((end.worker - start.worker) * 1000 / sent)
        measured.redis_ms.append((end.redis - start.redis) * 1000 / sent)
        wait(lambda: redis.zcard("rq:ses:leases:mail") == 0, self.program)


def _finished(store: Store) -> int:
    return _number(store.connection.zcard("rq:finished:mail"))


def _number(reply: Any) -> int:
    return int(reply)
