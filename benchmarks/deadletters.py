"""How fast dead letters are grouped, resent and exported, and in how much memory.

    python -m benchmarks.deadletters [COUNT …]

Prints a table in Markdown. Each figure is that of a process of its own on one core; Valkey has the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from redis import Redis
from rq.utils import utcformat

from benchmarks.harness.mails import message
from benchmarks.harness.processtree import cores, peak_rss, pin
from benchmarks.harness.services import Store, store
from rq_ses import Outbox, contract
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.hints import hint_for
from rq_ses.keys import Keys
from rq_ses.message.message import Message

KEYS = Keys.default()
COUNTS = (10_000, 100_000)
REPEATS = 3
_TEXT = "Email address is not verified. The following identities failed the check in region EU-WEST-1: "

WORK: dict[str, Callable[[DeadLetters], object]] = {
    "`groups()`": lambda letters: letters.groups(),
    "`groups()` of a recipient": lambda letters: letters.groups(Filter(recipient="nobody@example.com")),
    "`resend()`": lambda letters: letters.resend(),
    "`resend()` with a new sender": lambda letters: letters.resend(edits={"sender": "new@example.com"}),
    "`export()`": lambda letters: _export(letters),
}
_MOVES = "resend"


def main() -> None:
    """Measure, or do the work of one measurement."""
    if sys.argv[1:2] == ["--work"]:
        _work(*sys.argv[2:])
        return
    counts = [int(text) for text in sys.argv[1:]] or COUNTS
    print("|  | mails | seconds | mails/s | peak RSS, MB |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, store(Path(directory)) as redis:
        pin(redis.pid, {cores()[1]})
        for name in WORK:
            for count in counts:
                found = sorted(_measure(redis, name, count, fresh=not again) for again in range(REPEATS))
                seconds, rss = found[len(found) // 2]
                print(
                    f"| {name} | {count:,} | {seconds:.2f} | {count / seconds:,.0f} | {rss:.0f} |", flush=True
                )


def _export(letters: DeadLetters) -> None:
    with Path(os.devnull).open("w") as target:
        letters.export(target)


def _measure(redis: Store, name: str, count: int, *, fresh: bool) -> tuple[float, float]:
    if fresh or _MOVES in name:
        _fill(redis.connection, count)
        # Its fork would share a core with what is measured.
        while redis.rewriting:
            time.sleep(0.05)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.deadletters", "--work", redis.url, name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, rss = json.loads(done.stdout)
    return seconds, rss


def _work(url: str, name: str) -> None:
    os.sched_setaffinity(0, {cores()[0]})
    letters = DeadLetters(url)
    letters.partitions.own.ping()
    began = time.perf_counter()
    WORK[name](letters)
    print(json.dumps([time.perf_counter() - began, peak_rss(os.getpid()) / 1e6]))


def _fill(redis: Redis, count: int) -> None:
    """Make dead letters as settle.lua leaves them, each refused for its own recipient."""
    redis.flushall()
    mails = (_mail(number) for number in range(count))
    outbox = Outbox(redis)
    number = 0
    while batch := list(islice(mails, 1000)):
        receipts = outbox.send_many(batch)
        with redis.pipeline(transaction=False) as pipeline:
            for receipt in receipts:
                _fail(pipeline, receipt.job_id, number)
                number += 1
            pipeline.delete(KEYS.queue(contract.DEFAULT_QUEUE))
            pipeline.execute()


def _mail(number: int) -> Message:
    mail = message(number)
    return mail.model_copy(update={"to": (f"user{number}@example.com",)})


def _fail(pipeline: Redis, job_id: str, number: int) -> None:
    text = f"{_TEXT}user{number}@example.com"
    outcome = {"outcome": "terminal", "status": 400, "code": "MessageRejected", "message": text}
    outcome |= {"request_id": f"{number:032x}", "ambiguous": False}
    meta = {"attempts": 1, "first_attempt_at": round(time.time(), 3), "last_outcome": outcome}
    line = f"MessageRejected: {text} (HTTP 400, request id {number:032x})"
    line += f"\nHint: {hint_for('MessageRejected', text, 400)}"
    now = utcformat(datetime.now(UTC))
    fields: dict[Any, Any] = {
        "status": "failed",
        "ended_at": now,
        "started_at": now,
        "meta": json.dumps(meta),
        "exc_info": line,
    }
    pipeline.hset(KEYS.job(job_id), mapping=fields)
    pipeline.expire(KEYS.job(job_id), contract.FAILURE_TTL)
    expiry = time.time() + contract.FAILURE_TTL
    pipeline.zadd(KEYS.registry("failed", contract.DEFAULT_QUEUE), {job_id: expiry})


if __name__ == "__main__":
    main()
