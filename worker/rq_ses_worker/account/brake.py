"""Holds this process's mails back while none of them ends well, until the account's gate knows of it."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from rq_ses_worker.account.gate import STREAK
from rq_ses_worker.account.scope import scope
from rq_ses_worker.ses.outcome import Outcome, Sent

HOLD: Final = 1.0
"""Seconds for which nothing is begun after what concerns every mail: until the gate knows of it."""

NARROW: Final = 4
"""Failures in a row from which on fewer are under way: with one mail in three failing, it is 1 time in 80."""

_FEW: Final = 2 / 3
"""Attempts in a row that are made at a time before they are made one by one, as a share of the streak."""


class Brake:
    """What the latest attempts of this process, ended or under way, leave room for.

    The gate hears of an outcome some milliseconds late, and each of its workers has mails under way by then.
    One streak that is long enough opens the breaker; until then no more are begun than could make it so long.

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
        """Return how many more may be begun beside the `busy` ones; as a rule any number."""
        if self._streak < NARROW:
            return math.inf
        return max(0 if busy > 0 else 1, self._few - self._streak - busy)
