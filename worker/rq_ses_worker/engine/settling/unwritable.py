"""Outcomes that could not be written alone: when each is tried again, and when it is given up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.lifecycle.retry import without_others

MOST_FAILURES: Final = 5
"""Failures of an outcome alone, while others can be written, after which it is set aside."""

FAILURES_WITH_OTHERS: Final = 3
"""Failures after which it is tried without what users have put into its meta: that alone isn't ours."""

PAUSE: Final = 0.25
"""Seconds until it is tried again at first; then twice as long each time."""

LONGEST_PAUSE: Final = 5.0
"""Seconds."""


@dataclass(slots=True)
class Unwritable:
    """An outcome that could not be written alone."""

    settlement: Settlement
    again_at: float
    """Moment (time.monotonic()) from which on it is tried again."""
    pause: float
    failures: int = 1

    def failed(self, *, counts: bool) -> bool:
        """Note that it failed once more; tell whether it is to be set aside.

        It `counts` if others could be written: what none can be is no defect of one.
        """
        self.failures += counts
        if self.failures >= MOST_FAILURES:
            return True
        if self.failures == FAILURES_WITH_OTHERS:
            self.settlement = self.settlement._replace(meta=without_others(self.settlement.meta))
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        self.again_at = time.monotonic() + self.pause
        return False


class Unwritables:
    """All outcomes that could not be written alone; used by one thread."""

    def __init__(self) -> None:
        self._kept: list[Unwritable] = []

    def __bool__(self) -> bool:
        return bool(self._kept)

    def add(self, settlements: list[Settlement]) -> None:
        """Keep outcomes that have just failed alone."""
        again_at = time.monotonic() + PAUSE
        self._kept += [Unwritable(settlement, again_at, PAUSE) for settlement in settlements]

    def remove(self, one: Unwritable) -> None:
        """Keep one no longer: it is written, or set aside."""
        self._kept.remove(one)

    @property
    def wait(self) -> float | None:
        """Seconds until the next is due; None if there is none."""
        if not self._kept:
            return None
        return max(0.0, min(one.again_at for one in self._kept) - time.monotonic())

    def due(self) -> Iterator[Unwritable]:
        """Yield those that are due now; they may be removed meanwhile."""
        clock = time.monotonic()
        yield from [one for one in self._kept if one.again_at <= clock]
