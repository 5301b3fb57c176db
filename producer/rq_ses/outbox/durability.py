"""Waiting until what was written can't be lost any more: on the server's disk, and with its replicas."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis import exceptions as redis_errors
from redis.commands.core import Script

from rq_ses.errors import DurabilityUnconfirmed
from rq_ses.keys import keys_of
from rq_ses.outbox.ranges import checked_wait
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
    """Runs a script and waits until its writes are safe.

    Safe is: fsynced by the server itself (WAITAOF; Valkey, or Redis >= 7.2, with `appendonly yes`), and held
    by so many replicas (WAIT). A server that can't tell about its disk, but has replicas, is asked for these
    alone, which is logged.

    Args:
        connection: the client the script was registered with; one that waits for an answer for longer than
            the confirmation may take.
        script: what is run.
        confirmation: what is waited for.
    """

    def __init__(self, connection: Redis, script: Script, confirmation: Confirmation) -> None:
        self._connection = connection
        self._mark = keys_of(connection).durable
        self._script = script
        self._replicas = confirmation.replicas
        self._timeout = confirmation.timeout
        self._disk: bool | None = None

    def check(self) -> None:
        """Find out, once, what the server can confirm.

        Raises:
            DurabilityUnconfirmed: nothing at all; nothing was written.
            RedisError: it could not be asked.
        """
        if self._disk is not None:
            return
        try:
            self._connection.execute_command("WAITAOF", 1, 0, 1)
        except redis_errors.ResponseError as exc:
            reason = _incapable(exc)
            if not reason:
                raise
            if not self._replicas:
                raise DurabilityUnconfirmed((), f"{reason}; nothing was enqueued") from exc
            log.warning("durable: %s: only its replicas are waited for, not its disk", reason)
            self._disk = False
        else:
            self._disk = True

    def call(self, keys: Sequence[str], args: Sequence[Any]) -> tuple[list[Any], str]:
        """Run the script and wait; return its reply, and what could not be confirmed in time ("": nothing).

        Raises:
            RedisError: it isn't known whether the script ran; it may be run again by another call.
        """
        # WAIT and WAITAOF speak of the last write of *their* connection: so all goes in one pipeline, which
        # redis-py sends over one connection, and anew as a whole. The mark is that last write where the
        # script itself changes nothing, since an earlier call, whose answer was lost, has written already.
        milliseconds = max(1, int(self._timeout * 1000))
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.evalsha(self._script.sha, len(keys), *keys, *args)
            pipeline.set(self._mark, "", ex=_MARK_SECONDS)
            if self._replicas:
                pipeline.execute_command("WAIT", self._replicas, milliseconds)
            if self._disk:
                pipeline.execute_command("WAITAOF", 1, 0, milliseconds)
            reply, *marks = pipeline.execute(raise_on_error=False)
        if isinstance(reply, redis_errors.NoScriptError):
            self._connection.script_load(self._script.script)
            return self.call(keys, args)
        if isinstance(reply, Exception):
            raise reply
        return list(reply), self._doubt(marks)

    def _doubt(self, marks: list[Any]) -> str:
        for mark in marks:
            if isinstance(mark, redis_errors.ResponseError) and str(mark).startswith("UNBLOCKED"):
                raise redis_errors.ConnectionError("the primary became a replica meanwhile") from mark
            if isinstance(mark, Exception):
                return one_line(f"the server refused to tell: {mark}", 200)
        within = f"within {self._timeout:g} s"
        _, *counts = marks
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
