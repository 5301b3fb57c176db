"""Asking the server again and again while it is away, for as long as the caller gave, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import SentinelConnectionPool

from rq_ses.errors import OutboxUnavailable
from rq_ses.server.patience import ending_within
from rq_ses.server.refusal import read_refusal
from rq_ses.server.serverclock import ServerClock

QUICK: Final = 0.25
"""Seconds that a call has which finds the server as an earlier one left it: away."""

CLOCK_AGE: Final = 60.0
"""Seconds for which the server's time is carried on here before it is asked anew."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

PATIENT_EVERY: Final = 5.0
"""Seconds after which one call has all its time again: a server may be back, and slower than QUICK."""

_away: dict[tuple[str, float], float] = {}
"""Servers, with the seconds they are waited for, that the last call of this process found away.

With each the moment (time.monotonic()) at which a call last had all its time."""

Answer = TypeVar("Answer")


class Insistence:
    """Makes calls to a server that may be away for a while. Threads may share it.

    Args:
        connection: a client that doesn't try again by itself.
        timeout: seconds for which a call is tried again.
    """

    def __init__(self, connection: Redis, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._clock = ServerClock()
        self._server = _address(connection), timeout

    def call(
        self, attempt: Callable[[], Answer], job_ids: Sequence[str] = (), *, beyond: float = 0.0
    ) -> Answer:
        """Return what `attempt` returns at last.

        After a call that ended in vain, those that follow have QUICK seconds to find the server and make one
        attempt, until one succeeds: an app whose Redis is away shall not keep every caller waiting. Every
        PATIENT_EVERY seconds one of them has all its time.

        Args:
            attempt: it must change nothing when it is repeated.
            job_ids: what it enqueues, for the error.
            beyond: seconds that an attempt may take in addition.

        Raises:
            OutboxUnavailable: the server stayed away, or refuses for a reason that doesn't pass.
        """
        started = time.monotonic()
        quick = self._is_quick(started)
        pause = _FIRST_PAUSE
        while True:
            try:
                if quick:
                    with ending_within(min(QUICK, self._timeout)):
                        self._ask_time()
                with ending_within(self._timeout - (time.monotonic() - started) + beyond):
                    answer = attempt()
            except (RedisError, OSError) as exc:
                refusal = read_refusal(exc)
                waited = time.monotonic() - started
                if not refusal.passes:
                    raise OutboxUnavailable(job_ids, waited, refusal.reason, refusal.remedy) from exc
                if quick or waited + pause > self._timeout:
                    if not quick:
                        _away[self._server] = time.monotonic()
                    still = ", as in an earlier call" if quick else ""
                    raise OutboxUnavailable(job_ids, waited, refusal.reason + still) from exc
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                _away.pop(self._server, None)
                return answer

    def _is_quick(self, now: float) -> bool:
        # Read once: another thread whose call succeeds takes it out at any moment.
        patient_at = _away.get(self._server)
        if patient_at is None:
            return False
        if now - patient_at < PATIENT_EVERY:
            return True
        _away[self._server] = now  # the other callers meanwhile are quick
        return False

    def now(self) -> float:
        """Return the server's time (epoch seconds), asked at most once a minute.

        Raises:
            OutboxUnavailable: as `call` does.
        """
        if not self._clock.fresh(CLOCK_AGE):
            self.call(self._ask_time)
        return self._clock.now()

    def _ask_time(self) -> None:
        self._clock.ask(self._connection)


def _address(connection: Redis) -> str:
    """Return what tells a server, or a service of some Sentinels, from others."""
    pool: Any = connection.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        asked = " ".join(sorted(_address(one) for one in pool.sentinel_manager.sentinels))
        return f"{pool.service_name} {asked}"
    return "/".join(str(pool.connection_kwargs.get(name, "")) for name in ("host", "port", "path"))
