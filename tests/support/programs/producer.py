"""A producer as a process of its own: `python -m support.programs.producer URL [durable]`, until SIGTERM.

It has a thread for each face of an Outbox, and prints a line of JSON for each mail: its job id, its address,
the moment (time.monotonic(), one clock for all processes) at which it was acknowledged, the seconds that
took, and whether a durable call was confirmed; or an error.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rq_ses import DurabilityUnconfirmed, RqSesError
from support.faces import FACES
from support.mails.mail import mail
from support.programs.processes import Process

PAUSE = 0.01
DURABLE_TIMEOUT = 0.5


@dataclass(frozen=True)
class Written:
    """One mail as its producer tells of it."""

    job_id: str
    address: str
    at: float
    took: float
    confirmed: bool


class Producer:
    """A running producer, and what it has told so far."""

    def __init__(self, url: str, env: Mapping[str, str], log: Path, *, durable: bool = False) -> None:
        arguments = ["-m", "support.programs.producer", url, *(["durable"] if durable else [])]
        tests = str(Path(__file__).parents[2])
        self._process = Process(arguments, {**env, "PYTHONPATH": tests, "PYTHONUNBUFFERED": "1"}, log)

    def _lines(self) -> Iterator[Any]:
        for line in self._process.output.splitlines(keepends=True):
            if line.endswith("}\n"):
                yield json.loads(line)

    @property
    def written(self) -> list[Written]:
        return [Written(**line) for line in self._lines() if "error" not in line]

    @property
    def errors(self) -> list[str]:
        return [line["error"] for line in self._lines() if "error" in line]

    def wrote_since(self, moment: float, count: int = 1) -> bool:
        """Tell whether so many mails were acknowledged after a moment."""
        assert self._process.running, self._process.output
        return sum(one.at > moment for one in self.written) >= count

    def stop(self) -> None:
        assert self._process.stop() == 0, self._process.output

    def kill(self) -> None:
        self._process.stop(signal.SIGKILL)


@contextmanager
def producing(url: str, env: Mapping[str, str], log: Path, *, durable: bool = False) -> Iterator[Producer]:
    """Let a producer run until the block is left, or it is stopped."""
    producer = Producer(url, env, log, durable=durable)
    try:
        yield producer
    finally:
        producer.kill()


def _main(url: str, *, durable: bool) -> None:
    options: dict[str, Any] = {"durable_replicas": 1, "durable_timeout": DURABLE_TIMEOUT} if durable else {}
    over, printing = threading.Event(), threading.Lock()
    numbers = itertools.count()
    signal.signal(signal.SIGTERM, lambda *_: over.set())

    def tell(**facts: Any) -> None:
        with printing:
            print(json.dumps(facts), flush=True)  # noqa: T201 (read by Producer)

    def work(outbox: Any) -> None:
        while not over.wait(PAUSE):
            address = f"slow-0.01.{'d' if durable else 'p'}{next(numbers)}@faults.example"
            began = time.monotonic()
            try:
                receipt, confirmed = outbox.send(mail(address), durable=durable), True
            except DurabilityUnconfirmed as exc:
                [receipt], confirmed = exc.receipts, False
            except RqSesError as exc:
                tell(error=str(exc))
                continue
            at = time.monotonic()
            tell(job_id=receipt.job_id, address=address, at=at, took=at - began, confirmed=confirmed)

    outboxes = [face(url, enqueue_timeout=30, **options) for face in FACES.values()]
    threads = [threading.Thread(target=work, args=(outbox,)) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    _main(sys.argv[1], durable="durable" in sys.argv[2:])
