"""Says once that Redis is away, and once that it is back."""

from __future__ import annotations

import logging
import time

from redis.exceptions import RedisError

from rq_ses.plaintext import one_line
from rq_ses_worker import events


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
            events.REDIS_AWAY.log(self._log, error=reason, meanwhile=self._meanwhile)

    def over(self) -> None:
        """Note a success; the first one after a failure is logged."""
        if self._since is not None:
            events.REDIS_BACK.log(self._log, seconds=time.monotonic() - self._since)
            self._since = None
