"""How many recipients a client may write to in a minute: a bucket for each, in this process's memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_CLIENTS: Final = 10_000
"""Clients that are remembered; the one that has been quiet for longest is forgotten."""

_MINUTE: Final = 60.0


class Rate:
    """Buckets that hold a minute's recipients. A mail passes while there is one, and may leave a debt.

    Args:
        a_minute: recipients; 0 is any number.
    """

    def __init__(self, a_minute: int) -> None:
        self._most = float(a_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Return the seconds until this client may send; 0 if it may now. `now` is a monotonic clock's."""
        if not self._most:
            return 0.0
        level = self._level(client, now)
        return 0.0 if level >= 1 else (1 - level) * _MINUTE / self._most

    def spend(self, client: str, recipients: int, now: float) -> None:
        """Take from this client's bucket what a mail weighs."""
        if self._most:
            self._buckets[client] = self._level(client, now) - recipients, now
            self._buckets.move_to_end(client)
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)

    def _level(self, client: str, now: float) -> float:
        level, then = self._buckets.get(client, (self._most, now))
        return min(self._most, level + (now - then) * self._most / _MINUTE)
