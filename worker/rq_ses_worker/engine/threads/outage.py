"""Stretches of time in which Redis didn't do what it was asked to: logged once each, and remembered."""

from __future__ import annotations

import logging
import re
import time
from typing import Final

from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from rq_ses.server.refusal import is_passing, read_refusal
from rq_ses_worker.logging import events

_MENDED: Final = re.compile(r"\b(?:MISCONF|NOAUTH|OOM|WRONGPASS)\b")
"""Codes of what an operator ends: a producer's caller is told, a worker waits."""


def passes(exc: RedisError) -> bool:
    """Tell whether the server's state is to blame, and not what was asked of it: so it passes some time."""
    return is_passing(exc) or out_of_memory(exc) or _MENDED.search(str(exc)) is not None


def out_of_memory(exc: RedisError) -> bool:
    """Tell whether the server has reached its maxmemory: it refuses what needs more, and nothing else."""
    return isinstance(exc, OutOfMemoryError) or (isinstance(exc, ResponseError) and " OOM " in f" {exc} ")


class Trouble:
    """When this process was refused what a lease lives on, or had no answer: others were, too.

    That Redis answers says nothing: it may answer reads and refuse writes (no replica, a full disk, a change
    of its role), and then living workers can't renew their leases either.
    """

    def __init__(self) -> None:
        self._latest = float("-inf")

    def note(self, exc: RedisError | None = None) -> None:
        """Note that something was not answered in time, or refused; not one that was wrong in itself."""
        if exc is None or passes(exc):
            self._latest = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the latest; infinity if there was none."""
        return time.monotonic() - self._latest


class Outage:
    """One stretch of time in which Redis didn't do what one part of the worker asked for.

    Args:
        log: where it is told.
        meanwhile: what doesn't happen as long as it lasts.
        trouble: notes each failure, too.
    """

    def __init__(self, log: logging.Logger, meanwhile: str, trouble: Trouble | None = None) -> None:
        self._log = log
        self._meanwhile = meanwhile
        self._trouble = trouble
        self._since: float | None = None
        self._refused = False

    def failed(self, exc: RedisError) -> None:
        """Note a failure; the first one is logged."""
        if self._trouble:
            self._trouble.note(exc)
        self._refused = self._refused or isinstance(exc, ResponseError)
        if self._since is None:
            self._since = time.monotonic()
            refusal = read_refusal(exc)
            # Wrong credentials are a ConnectionError to redis-py.
            if isinstance(exc, ResponseError) or not refusal.passes:
                remedy = f": {refusal.remedy}" if refusal.remedy else ""
                events.REDIS_REFUSES.log(
                    self._log, error=refusal.reason, meanwhile=self._meanwhile, remedy=remedy
                )
            else:
                events.REDIS_AWAY.log(self._log, error=refusal.reason, meanwhile=self._meanwhile)

    def answered(self) -> None:
        """Note an answer to a question that changes nothing: one that refuses writes answers those, too."""
        if not self._refused:
            self.over()

    def over(self) -> None:
        """Note a success; the first one after a failure is logged."""
        if self._since is not None:
            events.REDIS_BACK.log(self._log, seconds=time.monotonic() - self._since)
            self._since = None
            self._refused = False
