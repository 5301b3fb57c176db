"""Trying a call again while its server is away, for as long as the caller gave, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from redis.exceptions import RedisError

from rq_ses.errors import OutboxUnavailable
from rq_ses.outbox.plans.steps import Exchange, Line, Pause
from rq_ses.plan import Plan
from rq_ses.server.refusal import read_refusal
from rq_ses.server.serverclock import ServerClock, epoch

QUICK: Final = 0.25
"""Seconds that a call has which finds the server as an earlier one left it: away."""

FULL_EVERY: Final = 5.0
"""Seconds after which one call has all its time again: a server may be back, and slower than QUICK."""

CLOCK_AGE: Final = 60.0
"""Seconds for which the server's time is carried on here before it is asked anew."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
"""Seconds between two attempts; each pause is twice as long as the one before it."""

_away: dict[tuple[str, float], float] = {}
"""Servers, with the prefix (each may have an owner in a cluster) and the seconds they are waited for, that
the last call of this process found away.

With each the moment (time.monotonic()) at which a call last had all its time."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Try:
    """One call that is being tried: since when (time.monotonic()), and how long the next pause is."""

    job_ids: Sequence[str]
    quick: bool
    started: float
    asked: str
    pause: float = _FIRST_PAUSE

    @property
    def waited(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def unavailable(self, reason: str, remedy: str = "") -> OutboxUnavailable:
        """Return the error that ends it."""
        return OutboxUnavailable(self.job_ids, self.waited, reason, remedy, self.asked)

    def wait(self) -> Pause:
        """Return the step until the next attempt."""
        pause, self.pause = Pause(self.pause), min(2 * self.pause, _LONGEST_PAUSE)
        return pause


class Retrying:
    """Plans calls to a server that may be away for a while. Threads may share it.

    Args:
        line: the way to it, on which nothing is tried again.
        server: what tells it from others.
        timeout: seconds for which a call is tried again.
    """

    def __init__(self, line: Line, server: str, timeout: float) -> None:
        self._line = line
        self._timeout = timeout
        self._clock = ServerClock()
        self._server = server, timeout

    def call(
        self,
        attempt: Callable[[float], Plan[Answer]],
        job_ids: Sequence[str] = (),
        *,
        beyond: float = 0.0,
        asked: str = "tell its time",
    ) -> Plan[Answer]:
        """Return what `attempt` returns at last.

        After a call that ended in vain, those that follow have QUICK seconds to find the server and make one
        attempt, until one succeeds: an app whose Redis is away shall not keep every caller waiting. Every
        FULL_EVERY seconds one of them has all its time.

        Args:
            attempt: takes the moment (time.monotonic()) at which it has to end; it must change nothing when
                it is repeated.
            job_ids: what it enqueues, for the error.
            beyond: seconds that an attempt may take in addition.
            asked: what else is asked of the server, for the error.

        Raises:
            OutboxUnavailable: the server stayed away, or refuses for a reason that doesn't pass.
        """
        now = time.monotonic()
        call = _Try(job_ids, self._is_quick(now), now, asked)
        while True:
            try:
                if call.quick:
                    yield from self._ask_time(time.monotonic() + min(QUICK, self._timeout))
                answer = yield from attempt(call.started + self._timeout + beyond)
            except (RedisError, OSError) as exc:
                self._check_again(call, exc)
            else:
                _away.pop(self._server, None)
                return answer
            yield call.wait()

    def _check_again(self, call: _Try, exc: RedisError | OSError) -> None:
        """Raise OutboxUnavailable unless another attempt may help, and there is time for it."""
        refusal = read_refusal(exc)
        if not refusal.passes:
            raise call.unavailable(refusal.reason, refusal.remedy) from exc
        if call.quick:
            raise call.unavailable(f"{refusal.reason}, as in an earlier call") from exc
        if call.waited + call.pause > self._timeout:
            _away[self._server] = time.monotonic()
            raise call.unavailable(refusal.reason, refusal.remedy) from exc

    def _is_quick(self, now: float) -> bool:
        # Read once: another thread whose call succeeds takes it out at any moment.
        full_at = _away.get(self._server)
        if full_at is None:
            return False
        if now - full_at < FULL_EVERY:
            return True
        _away[self._server] = now  # the other callers meanwhile are quick
        return False

    def now(self) -> Plan[float]:
        """Return the server's time (epoch seconds), asked at most once a minute.

        Raises:
            OutboxUnavailable: as `call` does.
        """
        if not self._clock.fresh(CLOCK_AGE):
            yield from self.call(self._ask_time)
        return self._clock.now()

    def _ask_time(self, until: float) -> Plan[None]:
        asked = time.monotonic()
        [told] = yield Exchange(self._line, (("TIME",),), until)
        if isinstance(told, Exception):
            raise told
        self._clock.heard(epoch(told), asked, time.monotonic())
