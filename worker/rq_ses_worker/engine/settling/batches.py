"""Gathers what is to be written, so that one round trip writes many outcomes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from rq_ses_worker.lifecycle.records import Settlement

GATHER: Final = 0.002
"""Seconds for which the first outcome of a batch waits for others, and again while these are few."""

PATIENCE: Final = 0.006
"""Seconds for which it waits for them at most."""

LONGEST: Final = 0.025
"""Seconds for which it waits at most while mails are held ready: no thread waits for the room it takes."""

COMING: Final = 0.1
"""Seconds for which it waits at most for a claim to take it along that is under way, or about to be made."""

BATCH: Final = 256
"""Outcomes in a batch at most."""


def in_steps(batch: list[Settlement]) -> list[list[Settlement]]:
    """Return a batch in the steps in which it is written: a bulk job that is divided takes one of its own."""
    divided = [one for one in batch if is_divided(one)]
    if not divided:
        return [batch] if batch else []
    whole = [one for one in batch if not is_divided(one)]
    return [*([whole] if whole else []), *([one] for one in divided)]


def is_divided(one: Settlement) -> bool:
    """Tell whether a settlement is that of a bulk job that is divided."""
    return one.bulk is not None and one.bulk.division is not None


def is_odd(one: Settlement) -> bool:
    """Tell whether a settlement can't go along with a claim.

    A bulk job that is divided has a step of its own; whether a dead lease ran out is looked at once more.
    """
    return one.overdue or is_divided(one)


class Batches:
    """Settlements that wait to be written; any thread may `put` and take them, one waits for batches.

    Args:
        several: outcomes that are worth a batch of their own.
        ready: tells of so many outcomes that wait whether mails are held ready beside them.
        coming: tells whether the next claim is about to take along what waits.
    """

    def __init__(self, several: int, ready: Callable[[int], bool], coming: Callable[[], bool]) -> None:
        self._several = several
        self._ready = ready
        self._coming = coming
        self._waiting: deque[Settlement] = deque()
        self._since = 0.0
        # What came back, and is to be taken before the others.
        self._back: deque[Settlement] = deque()
        self._ended = False
        self._due = threading.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def many(self) -> bool:
        """Whether so many wait that they are worth a round trip."""
        return len(self._waiting) >= self._several

    @property
    def has_odd(self) -> bool:
        """Whether one waits that can't go along with a claim."""
        return any(map(is_odd, list(self._waiting)))  # copied in one step: other threads put and take

    def put(self, settlement: Settlement) -> None:
        """Let a settlement wait."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(settlement)
        if not self._due.is_set():
            self._due.set()

    def put_back(self, batch: list[Settlement]) -> None:
        """Let what somebody has taken be the next batch."""
        self._back.extend(batch)
        self._due.set()

    def end(self) -> None:
        """Let the batch with all that waits by now be the last."""
        self._ended = True
        self._due.set()

    def take(self, timeout: float | None) -> tuple[list[Settlement], bool]:
        """Return the next batch, and whether it is the last.

        It is empty if nothing comes within `timeout` seconds (None: wait as long as it takes), or at the end;
        and if what has come had better wait for more: a while of that has passed then.
        """
        if not self._due.wait(timeout):
            return [], False
        self._due.clear()
        if (pause := self._pause()) > 0:
            time.sleep(pause)
            self._due.set()
            return [], False
        batch = _taken(self._back)
        batch += _taken(self._waiting, len(batch))
        left = bool(self._back or self._waiting)
        if left:
            self._due.set()
        return batch, self._ended and not left

    def take_waiting(self) -> list[Settlement]:
        """Return what waits, as far as it goes into a batch."""
        return _taken(self._waiting)

    def _pause(self) -> float:
        """Return for how long what waits had better wait for more, or for a claim to take it along."""
        waiting = len(self._waiting)
        if not waiting or self._back or self._ended:
            return 0.0
        waited = time.monotonic() - self._since
        if self._coming() and waited < COMING:
            return GATHER
        if self._ready(waiting):
            return LONGEST - waited
        if waiting > self._several:
            return 0.0
        return min(GATHER, PATIENCE - waited)


def _taken(waiting: deque[Settlement], beside: int = 0) -> list[Settlement]:
    """Take what goes into a batch that has so many `beside` it."""
    batch: list[Settlement] = []
    with suppress(IndexError):  # there is no more: another thread may have taken the last
        while beside + len(batch) < BATCH:
            batch.append(waiting.popleft())
    return batch
