"""How much of Redis's memory a mail takes, queued and as the receipt of a sent one; stock RQ's beside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rq.job import Job

from benchmarks.harness.mails import message, prose, scramble
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Program, Standin, Store
from benchmarks.stacks import OURS, RQ_SIMPLE, Stack
from rq_ses import Outbox, contract

_THREADS = 32


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes a mail."""

    payload: float
    """The message as JSON, as the producer has it."""
    queued: float
    receipt: float
    result: str
    """What RQ's Job reads as the result of one of them."""


def footprints(store: Store, mails: int) -> dict[str, Footprint]:
    """Return the footprints of so many mails of ours by kind of text, and of some of stock RQ's."""
    found = {
        "rq-ses, prose": _footprint(store, OURS, mails, _ours(store, mails, prose)),
        "rq-ses, random characters": _footprint(store, OURS, mails, _ours(store, mails, scramble)),
    }
    few = max(100, mails // 20)
    found["stock RQ, prose"] = _footprint(store, RQ_SIMPLE, few, _stock(store, few))
    return found


def _ours(store: Store, mails: int, text: Callable[[int], str]) -> Callable[[], int]:
    def fill() -> int:
        messages = [message(number, text=text(number)) for number in range(mails)]
        Outbox(connection=store.connection).send_many(messages)
        return sum(len(item.to_payload()) for item in messages)

    return fill


def _stock(store: Store, mails: int) -> Callable[[], int]:
    def fill() -> int:
        RQ_SIMPLE.fill(store.url, mails)
        return sum(len(message(number).to_payload()) for number in range(mails))

    return fill


def _footprint(store: Store, stack: Stack, mails: int, fill: Callable[[], int]) -> Footprint:
    redis = store.connection
    redis.flushall()
    empty = _steady(store)
    payload = fill()
    queued = _steady(store) - empty
    ids: Any = redis.lrange(stack.queue_key, 0, 0)
    standin = Standin()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        variables = environment(store, standin, _THREADS, None)
        program = Program(stack.command(_THREADS), variables, {cores()[0]}, Path(directory) / "log")
        try:
            wait(lambda: stack.left(redis, mails, 0) <= 0, program)
        finally:
            program.stop()
            standin.kill()
    receipts = _steady(store) - empty
    return Footprint(payload / mails, queued / mails, receipts / mails, _result(store, ids[0].decode()))


def _result(store: Store, job_id: str) -> str:
    serializer = None if store.connection.zscore("rq:finished:stock", job_id) else contract.SERIALIZER
    result = Job.fetch(job_id, connection=store.connection, serializer=serializer).latest_result()
    return f"{result.type.name} {result.return_value}" if result else "none"


def _steady(store: Store) -> int:
    """Return the memory in use once buffers have been written."""
    time.sleep(1.2)  # the append-only file's buffer is written within a second
    return store.used_memory
