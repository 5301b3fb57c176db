"""Says once that Redis is away, and once that it is back."""

from __future__ import annotations

import logging
import time

from redis.exceptions import RedisError

from rq_ses.plaintext import one_line


class Outage:
    """One stretch of time in which Redis didn't do what it was asked to."""

    def __init__(self, log: logging.Logger, meanwhile: str) -> None:
        self._log = log
        self._meanwhile = meanwhile
        self._since: float | None = None

    @property
    def lasting(self) -> bool:
        return self._since is not None

    def failed(self, exc: RedisError) -> None:
        """Note a failure; the first one is logged."""
        if self._since is None:
            self._since = time.monotonic()
            reason = one_line(f"{type(exc).__name__}: {exc}", 300)
            self._log.error("Redis is away (%s); %s", reason, self._meanwhile)

    def over(self) -> None:
        """Note a success; the first one after a failure is logged."""
        if self._since is not None:
            self._log.warning("Redis is back after %.1f s", time.monotonic() - self._since)
            self._since = None
