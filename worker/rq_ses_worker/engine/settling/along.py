"""Outcomes that are written in the round trip of a claim: the server is woken once for both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rq_ses_worker.engine.settling.batches import BATCH, Batches, is_odd
from rq_ses_worker.engine.settling.unwritten import Unwritten
from rq_ses_worker.lifecycle.records import Settlement, Word
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.server.errand import Along


class GoingAlong:
    """Takes what waits for the settler's thread; what isn't written on the way goes back to that.

    Args:
        lifecycle: the transitions.
        batches: where outcomes wait.
        unwritten: told what became of them.
    """

    def __init__(self, lifecycle: Lifecycle, batches: Batches, unwritten: Unwritten) -> None:
        self._lifecycle = lifecycle
        self._batches = batches
        self._unwritten = unwritten
        self.under_way = False
        """Whether a claim is being made."""
        self.going = 0
        """How many outcomes are written with it: the thread may have taken what waited a moment before."""
        self.failing = False
        """Whether some couldn't be written: until that is over, each is left to the thread."""

    def __len__(self) -> int:
        """Return how many would go along now, and so leave room for as many mails."""
        return 0 if self.failing or self._batches.has_odd else min(len(self._batches), BATCH)

    @contextmanager
    def taken(self) -> Iterator[list[Along[list[Word]]]]:
        """Have what waits written with the claim that is made meanwhile."""
        self.under_way = True
        batch = [] if self.failing else self._batches.take_waiting()
        left = list(batch)

        def done(words: list[Word]) -> None:
            self._unwritten.attempted(batch)
            self._unwritten.written(batch, words)
            left.clear()

        try:
            yield self._along(batch, done)
        finally:
            self.under_way = False
            if left:
                self.failing = True
                self._batches.put_back(left)

    def _along(self, batch: list[Settlement], done: Callable[[list[Word]], None]) -> list[Along[list[Word]]]:
        self.going = 0
        if not batch or any(is_odd(one) for one in batch):
            return []
        try:
            batch = self._unwritten.as_leased(batch)
            settlement = self._lifecycle.settlement(batch, clock=time.monotonic())
        except Exception:  # noqa: BLE001 - the thread meets it, too, and tells of it
            return []
        self.going = len(batch)
        return [Along(settlement, done)]
