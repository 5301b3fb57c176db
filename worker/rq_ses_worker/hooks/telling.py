"""The threads that tell outcomes, beside a worker: never in the way of sending."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.outcomes.delivery import Deliver, Delivery, Trouble
from rq_ses.outcomes.stream import OutcomeStream
from rq_ses.server.refusal import read_refusal
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

LAST: Final = 5.0
"""Seconds for which a worker that ends tells what is left; others, or its successor, tell the rest."""

_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries while Redis refuses, or something raises."""

_AGAIN: Final = 60.0
"""Seconds after which what still goes wrong is logged again."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One of those who are told: the name of its group, what tells it, and outcomes at a time at most."""

    group: str
    deliver: Deliver
    parcel: int


class Telling:
    """Tells outcomes to some hooks, each in a thread and over a client of its own.

    Args:
        connect: makes a client.
        hooks: whom to tell.
        kept: entries at which the stream drops the oldest.
    """

    def __init__(self, connect: Callable[[], Redis], hooks: list[Hook], kept: int) -> None:
        self._closing = threading.Event()
        self.kept: Final = kept
        self._threads = [_HookThread(hook, connect, kept, self._closing) for hook in hooks]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Tell what is left, for a moment; what isn't told then stays in the stream."""
        self._closing.set()
        end = time.monotonic() + 2 * LAST
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))


class _HookThread(threading.Thread):
    """Steps one delivery until it is told to end."""

    def __init__(self, hook: Hook, connect: Callable[[], Redis], kept: int, closing: threading.Event) -> None:
        super().__init__(name=f"hook-{hook.group}", daemon=True)
        self._hook = hook
        self._connect = connect
        self._kept = kept
        self._closing = closing
        self._pause = 0.0

    def run(self) -> None:
        with self._connect() as connection:
            stream = OutcomeStream(connection, self._hook.group)
            delivery = Delivery(
                stream,
                self._hook.deliver,
                parcel=self._hook.parcel,
                told=_Log(self._hook.group),
                full=self._kept,
            )
            while not self._closing.wait(self._tried(delivery.step)):
                pass
            self._tried(lambda: delivery.drain(LAST))

    def _tried(self, step: Callable[[], float | None]) -> float:
        """Return the seconds until the next step."""
        try:
            wait = step() or 0.0
        except RedisError as exc:
            if not self._pause:
                reason = read_refusal(exc).reason
                events.HOOK_WAITS.log(log, group=self._hook.group, error=reason)
        except Exception as exc:  # noqa: BLE001 - outcomes must be told, whatever one of them was
            if not self._pause:
                events.HOOK_RAISED.log(log, trace=True, group=self._hook.group, error=type(exc).__name__)
        else:
            self._pause = 0.0
            return wait
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _PAUSE)
        return self._pause


class _Log:
    """Logs what goes wrong with a group: of what may come in numbers, each kind once a minute."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._logged: dict[str, float] = {}

    def __call__(self, trouble: Trouble) -> None:
        if trouble.kind == "given up":
            outcome = trouble.outcome
            events.HOOK_GAVE_UP.log(
                log,
                group=self._group,
                kind=outcome.kind if outcome else "unreadable",
                job_id=outcome.job_id if outcome else "",
                id=outcome.id if outcome else "",
            )
        elif time.monotonic() - self._logged.get(trouble.kind, float("-inf")) >= _AGAIN:
            self._logged[trouble.kind] = time.monotonic()
            if trouble.error:
                self._log_refusal(trouble.outcomes, trouble.error)
            else:
                events.HOOKS_FULL.log(log, group=self._group, outcomes=trouble.outcomes)

    def _log_refusal(self, outcomes: int, exc: Exception) -> None:
        # What a callable raises may hold anything; a webhook's own words are ours.
        ours = type(exc).__module__.startswith("rq_ses_worker.")
        error = f"{type(exc).__name__}: {exc}" if ours else type(exc).__name__
        events.HOOK_REFUSED.log(log, trace=not ours, group=self._group, outcomes=outcomes, error=error)
