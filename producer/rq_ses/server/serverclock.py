"""The server's clock, as far as this process has heard it: the one clock that all hosts share.

Hosts' clocks differ, and are set; what is written for all of them (when a mail expires, when its first
attempt was) is reckoned and judged by the server's TIME alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

_SLEPT: Final = 1.0
"""Seconds by which the wall clock runs from the monotonic one when it is set, or the host has slept."""

_DRIFT: Final = 0.001
"""Seconds a second by which what was heard is taken to become vaguer: far more than clocks drift."""


class ServerClock:
    """Epoch seconds as the Redis server counts them, carried on by this process's monotonic clock in between.

    Threads may share it: it is read and replaced as a whole.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._heard_at = float("-inf")
        self._apart = 0.0
        self._vague = float("inf")
        self._vague_at = 0.0

    @property
    def age(self) -> float:
        """Seconds since the server was heard last; infinity if it never was."""
        return time.monotonic() - self._heard_at

    def fresh(self, seconds: float) -> bool:
        """Tell whether the server was heard within `seconds`, by both clocks of this host.

        The monotonic one stands still while the host sleeps, or a function's environment is frozen.
        """
        return self.age <= seconds and abs(_apart() - self._apart) < _SLEPT

    def ask(self, connection: Any) -> None:
        """Ask the server for its time, and note it. Raises redis.exceptions.RedisError."""
        asked = time.monotonic()
        seconds = server_time(connection)
        self.heard(seconds, asked, time.monotonic())

    def heard(self, seconds: float, asked: float, answered: float) -> None:
        """Note that the server's TIME was `seconds` somewhere between these moments of time.monotonic().

        A slow answer tells less than a quick one that was heard not long before, and is passed over.
        """
        vague, apart = (answered - asked) / 2, _apart()
        at = asked + vague
        self._heard_at = at
        slept = abs(apart - self._apart) >= _SLEPT
        if slept or vague <= self._vague + _DRIFT * (at - self._vague_at):
            self._offset, self._apart, self._vague, self._vague_at = seconds - at, apart, vague, at

    def now(self) -> float:
        """Return the server's time (epoch seconds); this host's own until the server has been heard."""
        offset = self._offset
        return time.time() if offset is None else time.monotonic() + offset


def server_time(connection: Any) -> float:
    """Ask the server for its time (epoch seconds). Raises redis.exceptions.RedisError."""
    return epoch(connection.time())


def epoch(told: Sequence[Any]) -> float:
    """Return a server's answer to TIME, seconds and microseconds in any form, as epoch seconds."""
    seconds, microseconds = told
    return int(seconds) + int(microseconds) / 1e6


def _apart() -> float:
    return time.time() - time.monotonic()
