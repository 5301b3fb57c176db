"""Gathers what is to be written, so that one round trip writes many outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from rq_ses_worker.lifecycle.records import Settlement

GATHER: Final = 0.01
"""Seconds for which the first outcome of a batch waits for others, and for a claim that takes it along. So
much longer a mail that was sent is in doubt, should its worker be killed."""
BATCH: Final = 256
"""Outcomes in a batch at most."""


class Batches:
    """Settlements that wait to be written; any thread may `put`, two may take them in batches.

    Args:
        several: outcomes that are worth a round trip.
        more: whether any other than those that wait are to come soon.
    """

    def __init__(self, several: int, more: Callable[[], bool]) -> None:
        self._several = several
        self._more = more
        self._waiting: list[Settlement] = []
        self._ending = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, settlement: Settlement) -> bool:
        """Let a settlement wait; tell whether now there are enough for a round trip, or no more to come."""
        with self._changed:
            self._waiting.append(settlement)
            if len(self._waiting) == 1:
                self._changed.notify()
            return len(self._waiting) == self._several or not self._more()

    def put_back(self, settlements: list[Settlement]) -> None:
        """Let settlements wait again that were taken before all others."""
        with self._changed:
            self._waiting[:0] = settlements
            self._changed.notify()

    def end(self) -> None:
        """Let the batch with all that waits by now be the last."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def take(self, timeout: float | None) -> tuple[list[Settlement], bool]:
        """Return the next batch once it has waited, and whether it is the last.

        It is empty if nothing comes within `timeout` seconds (None: wait as long as it takes), if a claim has
        taken it along, or at the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending, timeout)
            if self._waiting:
                self._changed.wait_for(lambda: self._ending, GATHER)
            batch = self._cut()
            return batch, self._ending and not self._waiting

    def take_now(self) -> list[Settlement]:
        """Return what waits, at once; the ends of dead leases stay."""
        with self._changed:
            if any(settlement.overdue for settlement in self._waiting):
                return []
            return self._cut()

    def _cut(self) -> list[Settlement]:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return batch
