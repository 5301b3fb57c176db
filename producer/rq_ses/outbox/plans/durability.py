"""Waiting until what was written can't be lost any more: on the server's disk, and with its replicas."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions as redis_errors

from rq_ses.errors import DurabilityUnconfirmed
from rq_ses.outbox.plans.steps import Exchange, Line
from rq_ses.outbox.ranges import checked_wait
from rq_ses.plan import Plan
from rq_ses.text.plaintext import one_line

log = logging.getLogger(__name__)

MOST_WAIT: Final = 3600
"""Seconds that may be waited for the disk, or for the replicas."""

_MARK_SECONDS: Final = 60
"""Seconds for which the key stays that a durable call writes last."""

_MOST_REPLICAS: Final = 100


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a durable call waits for.

    Attributes:
        replicas: number of replicas that must hold the write; 0 waits for the disk alone.
        timeout: seconds to wait for the disk, and as many for the replicas.

    Raises:
        ValueError: either is out of range.
    """

    replicas: int
    timeout: float

    def __post_init__(self) -> None:
        checked_wait("durable_timeout", self.timeout, MOST_WAIT)
        replicas = self.replicas
        if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas <= _MOST_REPLICAS:
            raise ValueError(
                f"durable_replicas: {replicas!r:.80} is out of range: "
                f"give a number from 0 to {_MOST_REPLICAS}"
            )

    @property
    def longest(self) -> float:
        """Seconds that both may take together."""
        return self.timeout * (2 if self.replicas else 1)


class Durability:
    """Plans how it is made sure that what one connection has written is safe.

    Safe is: fsynced by the server itself (WAITAOF; Valkey, or Redis >= 7.2, with `appendonly yes`), and held
    by so many replicas (WAIT). A server that can't tell about its disk, but has replicas, is asked for these
    alone, which is logged.

    Args:
        line: the way to the server.
        mark: the key that is written last.
        confirmation: what is waited for.
    """

    def __init__(self, line: Line, mark: str, confirmation: Confirmation) -> None:
        self._line = line
        self._mark = mark
        self._replicas = confirmation.replicas
        self._timeout = confirmation.timeout
        self._disk: bool | None = None

    def check(self, until: float) -> Plan[None]:
        """Find out, once, what the server can confirm.

        Raises:
            DurabilityUnconfirmed: nothing at all; nothing was written.
            RedisError: it could not be asked.
        """
        if self._disk is not None:
            return
        [told] = yield Exchange(self._line, (("WAITAOF", 1, 0, 1),), until, waits=True)
        if isinstance(told, redis_errors.ResponseError):
            reason = _incapable(told)
            if not reason:
                raise told
            if not self._replicas:
                raise DurabilityUnconfirmed((), f"{reason}; nothing was enqueued") from told
            log.warning("durable: %s: only its replicas are waited for, not its disk", reason)
            self._disk = False
        else:
            self._disk = True

    def commands(self) -> tuple[tuple[Any, ...], ...]:
        """Return what is sent behind a write, at once with it, when the server has been checked.

        WAIT and WAITAOF speak of the last write of *their* connection. The mark is that last write where the
        script itself changes nothing, since an earlier call, whose answer was lost, has written already.
        """
        milliseconds = max(1, int(self._timeout * 1000))
        mark = (("SET", self._mark, "", "EX", _MARK_SECONDS),)
        replicas = (("WAIT", self._replicas, milliseconds),) if self._replicas else ()
        disk = (("WAITAOF", 1, 0, milliseconds),) if self._disk else ()
        return mark + replicas + disk

    def doubt(self, told: Sequence[Any]) -> str:
        """Return what could not be confirmed in time ("": nothing) by the replies to `commands`.

        Raises:
            ConnectionError: redis-py's: it isn't known; it may be written again by another call.
        """
        for reply in told:
            if isinstance(reply, redis_errors.ResponseError) and str(reply).startswith("UNBLOCKED"):
                raise redis_errors.ConnectionError("the primary became a replica meanwhile") from reply
            if isinstance(reply, Exception):
                return one_line(f"the server refused to tell: {reply}", 200)
        within = f"within {self._timeout:g} s"
        _, *counts = told
        if self._replicas and int(counts[0]) < self._replicas:
            return f"{int(counts[0])} of {self._replicas} replicas have it {within}"
        if self._disk and int(counts[-1][0]) < 1:
            return f"it is not on the server's disk {within}"
        return ""


def _incapable(exc: redis_errors.ResponseError) -> str:
    """Return why the server can't tell about its disk; "" if the error has another cause."""
    text = str(exc).lower()
    if "unknown command" in text:
        return "the server has no WAITAOF (Valkey has it, and Redis since 7.2)"
    if "appendonly" in text:
        return "the server has no append-only file (appendonly yes)"
    if isinstance(exc, redis_errors.NoPermissionError):
        return "the user may not call WAITAOF (ACL: +waitaof)"
    return ""
