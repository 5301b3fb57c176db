"""Begins fewer mails while attempts fail, until the account's gate has opened its breaker.

The gate's breaker learns of an outcome some milliseconds late, and waits for two dozen in a row. Meanwhile
each process would go on sending: the brake lets it send one mail at a time.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from rq_ses_worker.account.gate import STREAK
from rq_ses_worker.account.scope import scope
from rq_ses_worker.ses.outcome import Outcome, Sent

HOLD: Final = 1.0
"""Seconds without a new attempt after an outcome that concerns every mail: until the gate knows of it."""

NARROW: Final = 1 / 6
"""Share of the streak from which on mails go one by one: 4 of 24 (1 time in 80, where one in three fails)."""


class Brake:
    """How many mails this process may begin, by how the latest attempts ended, its own and all others'.

    A streak is failures in a row. One that is long enough opens the breaker.

    Args:
        streak: failures in a row that open the breaker, whatever their share.
    """

    def __init__(self, streak: int = STREAK) -> None:
        self.held_until = 0.0
        """Moment (time.monotonic()) before which no mail should be begun."""
        self._most = streak
        self._narrow = int(streak * NARROW)
        self._streak = 0
        self._told = 0
        self._lock = threading.Lock()

    def told(self, failures: int) -> None:
        """Note how many attempts of all workers have failed in a row, as the account's gate knows it."""
        self._told = failures

    def ended(self, outcome: Outcome, *, probe: bool = False) -> None:
        """Note how an attempt ended."""
        if type(outcome) is Sent:
            self._streak = self._told = 0
            return
        about = scope(outcome)
        if about == "healthy":
            self._streak = self._told = 0
        elif about == "account" and not probe:
            self.held_until = time.monotonic() + HOLD
        elif about == "failing":
            with self._lock:
                self._streak += 1
            if self._streak >= self._most:
                self.held_until = time.monotonic() + HOLD

    def room(self, busy: int) -> float:
        """Return how many more mails may be begun beside the `busy` ones; as a rule infinitely many."""
        if max(self._streak, self._told) < self._narrow:
            return math.inf
        return 0 if busy > 0 else 1
