"""Gathers what is to be written, so that one round trip writes many outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from rq_ses_worker.lifecycle.records import Settlement

GATHER: Final = 0.002
"""Seconds for which the first outcome of a batch waits for others, and again while these are few."""

PATIENCE: Final = 3
"""Times it waits for them at most."""

LONGEST: Final = 10
"""Times it waits for them at most while mails are held ready: no thread waits for the room they take."""

BATCH: Final = 256
"""Outcomes in a batch at most."""


def in_steps(batch: list[Settlement]) -> list[list[Settlement]]:
    """Return a batch in the steps in which it is written: a bulk job that is divided takes one of its own."""
    divided = [one for one in batch if one.bulk and one.bulk.division]
    if not divided:
        return [batch] if batch else []
    whole = [one for one in batch if not (one.bulk and one.bulk.division)]
    return [*([whole] if whole else []), *([one] for one in divided)]


class Batches:
    """Settlements that wait to be written; any thread may `put`, one takes them in batches.

    Args:
        several: outcomes that are worth a batch of their own.
        ready: tells of so many outcomes that wait whether mails are held ready beside them.
    """

    def __init__(self, several: int, ready: Callable[[int], bool]) -> None:
        self._several = several
        self._ready = ready
        self._waiting: SimpleQueue[Settlement | None] = SimpleQueue()

    def put(self, settlement: Settlement) -> None:
        """Let a settlement wait."""
        self._waiting.put(settlement)

    def end(self) -> None:
        """Let the batch with all that waits by now be the last."""
        self._waiting.put(None)

    def take(self, timeout: float | None) -> tuple[list[Settlement], bool]:
        """Return the next batch, and whether it is the last.

        It is empty if nothing comes within `timeout` seconds (None: wait as long as it takes), or at the end.
        """
        try:
            first = self._waiting.get(timeout=timeout)
        except Empty:
            return [], False
        if first is None:
            return [], True
        batch = [first]
        for waited in range(1, LONGEST + 1):
            time.sleep(GATHER)
            waiting = self._waiting.qsize()
            if waiting >= self._several or (waited >= PATIENCE and not self._ready(waiting + 1)):
                break
        while len(batch) < BATCH:
            try:
                settlement = self._waiting.get_nowait()
            except Empty:
                break
            if settlement is None:
                return batch, True
            batch.append(settlement)
        return batch, False
