"""A client that takes mails through their states without sending them, as it is told on its standard input.

    python -m benchmarks.harness.lifedriver URL

    send COUNT | send_many COUNT      enqueue mails
    drive COUNT BATCH                 claim them in batches, and settle each as sent, as a worker does
    life SECONDS BATCH                enqueue a batch, claim what there is, settle it, and so on

says "ready", and then answers each line by one: the CPU seconds that the calls took in this process, or the
number of mails that were settled. It runs with the worker of this revision, and with those whose rooms were
single modules still.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from redis import Redis

from benchmarks.harness.mails import message
from rq_ses import Outbox

try:
    from rq_ses_worker.lifecycle.records import Claim, Settlement, sent_fields
    from rq_ses_worker.lifecycle.transitions import Lifecycle
except ImportError:  # a9dedb1 and before
    from rq_ses_worker.lifecycle import (  # type: ignore[attr-defined, no-redef]
        Claim,
        Lifecycle,
        Settlement,
        sent_fields,
    )

with suppress(ImportError):  # those of which no outcome goes along
    from rq_ses_worker.server.errand import Along

_QUEUES = ("mail-high", "mail", "mail-bulk")
_TEXT = (
    "Thank you for your order. It leaves our house within two working days; we tell you when it does.\n" * 9
)
"""A mail of 0.9 KB that deflate makes short: what is measured is what is written beside it."""


def main() -> None:
    """Do what each line says."""
    url = sys.argv[1]
    outbox = Outbox(url)
    lifecycle = Lifecycle(_connection(url), _QUEUES, "0" * 32, os.urandom(8).hex(), 60.0)
    print("ready", flush=True)
    for line in sys.stdin:
        order, count, *batch = line.split()
        if order == "drive":
            answer = drive(lifecycle, int(count), int(batch[0]))
        elif order == "life":
            answer = live(outbox, lifecycle, float(count), int(batch[0]))
        else:
            answer = enqueue(outbox, order, int(count))
        print(answer, flush=True)


def _connection(url: str) -> Redis:
    if url.startswith(("redis://", "rediss://")):
        return Redis.from_url(url)
    from rq_ses.server.connection import connect

    return connect(url, socket_timeout=30.0, connect_timeout=5.0)


def enqueue(outbox: Outbox, way: str, count: int) -> float:
    """Enqueue so many mails, and return the CPU seconds of that, without those of building them."""
    messages = [message(number, text=_TEXT) for number in range(count)]
    began = time.process_time()
    if way == "send_many":
        outbox.send_many(messages)
    else:
        for item in messages:
            outbox.send(item)
    return time.process_time() - began


def drive(lifecycle: Lifecycle, count: int, batch: int) -> float:
    """Claim and settle so many mails, and return the CPU seconds of the calls.

    Each batch is settled as the build's worker does it: where it can, with the claim of the next.
    Raises RuntimeError if there are fewer, or one isn't settled as sent.
    """
    used, waiting = 0.0, _Waiting(lifecycle)
    while count > 0:
        began = time.process_time()
        claims, _ = waiting.claim(min(batch, count))
        used += time.process_time() - began
        if not claims:
            raise RuntimeError(f"{count} mails are missing")
        waiting.batch = [_sent(claim) for claim in claims]
        count -= len(claims)
    began = time.process_time()
    waiting.settle()
    return used + time.process_time() - began


class _Waiting:
    """A batch that is to be settled."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._alone = not hasattr(lifecycle, "settlement")  # a9dedb1 and others before outcomes went along
        self.batch: list[Settlement] = []

    def claim(self, wanted: int) -> tuple[list[Claim], int]:
        """Claim, and have the batch settled before."""
        if not self.batch or self._alone:
            self.settle()
            return self._lifecycle.claim(wanted)
        told: list[Sequence[str]] = []
        errand = self._lifecycle.settlement(self.batch, clock=time.monotonic())
        claimed = self._lifecycle.claim(wanted, [Along(errand, told.append)])
        [words] = told
        self._check(words)
        return claimed

    def settle(self) -> None:
        """Settle it by itself."""
        if self.batch:
            self._check(self._lifecycle.settle(self.batch, clock=time.monotonic()))

    def _check(self, words: Sequence[str]) -> None:
        self.batch = []
        if set(words) != {"done"}:
            raise RuntimeError(f"settled as {set(words)}")


def live(outbox: Outbox, lifecycle: Lifecycle, seconds: float, batch: int) -> float:
    """Take mails through their lives beside other clients, for so long; return how many this one settled."""
    messages = [message(number, text=_TEXT) for number in range(batch)]
    end, settled = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        outbox.send_many(messages)
        claims, _ = lifecycle.claim(batch)
        lifecycle.settle([_sent(claim) for claim in claims], clock=time.monotonic())
        settled += len(claims)
    return settled


def _sent(claim: Claim) -> Settlement:
    """Return what a worker settles after the answer of SES."""
    result = {"message_id": f"0100018f{os.urandom(4).hex()}-{uuid.uuid4()}-000000"}
    return Settlement(
        lease=claim.lease,
        action="sent",
        ended=datetime.now(UTC),
        meta={"attempts": 1},
        fields=sent_fields(result),
        ended_clock=time.monotonic(),
        seconds=0.05,
    )


if __name__ == "__main__":
    main()
