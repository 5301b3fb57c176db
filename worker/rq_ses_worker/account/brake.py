"""Begins fewer mails while attempts of this process fail, until the account's gate knows of it.

The gate's breaker learns of an outcome some milliseconds late. Meanwhile each process would go on sending:
the brake keeps it from beginning more mails than the failures in a row that open the breaker.
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

NARROW: Final = 4
"""Failures in a row from which on fewer mails are begun: 1 time in 80, where one mail in three fails."""

_FEW: Final = 2 / 3
"""Share of the streak up to which several mails are under way at a time; beyond it they go one by one."""


class Brake:
    """How many mails this process may begin, by how its latest attempts ended.

    A streak is failures in a row. One that is long enough opens the breaker; until then no more mails are
    under way than could make it so long.

    Args:
        streak: failures in a row that open the breaker, whatever their share.
    """

    def __init__(self, streak: int = STREAK) -> None:
        self.held_until = 0.0
        """Moment (time.monotonic()) before which no mail should be begun."""
        self._most = streak
        self._few = int(streak * _FEW)
        self._streak = 0
        self._lock = threading.Lock()

    def ended(self, outcome: Outcome, *, probe: bool = False) -> None:
        """Note how an attempt ended."""
        if type(outcome) is Sent:
            self._streak = 0
            return
        about = scope(outcome)
        if about == "healthy":
            self._streak = 0
        elif about == "account" and not probe:
            self.held_until = time.monotonic() + HOLD
        elif about == "failing":
            with self._lock:
                self._streak += 1
            if self._streak >= self._most:
                self.held_until = time.monotonic() + HOLD

    def room(self, busy: int) -> float:
        """Return how many more mails may be begun beside the `busy` ones; as a rule infinitely many."""
        if self._streak < NARROW:
            return math.inf
        return max(0 if busy > 0 else 1, self._few - self._streak - busy)
