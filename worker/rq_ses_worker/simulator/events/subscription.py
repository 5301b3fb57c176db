"""One target of a topic: what waits for it, posted one after another in a thread of its own."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rq_ses_worker.simulator.events.answer import Answer
from rq_ses_worker.simulator.events.target import post
from rq_ses_worker.simulator.way import Target

MOST: Final = 10_000
"""Messages that may wait for one target; what comes beyond that is dropped, and counted."""

PAUSES: Final = (0.2, 0.5, 1.0)
"""Seconds before each repetition of what wasn't taken: as many as SNS's three, which are 20 s apart."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be posted; `answered` is told of every answer."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    answered: Callable[[Answer], None]


class Subscription:
    """Posts to one target, what is due first; its thread begins with the first message."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._waiting: list[tuple[float, int, int, Message]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._busy = 0
        self.dropped = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        with self._changed:
            return not self._waiting and not self._busy

    def put(self, message: Message, delay: float = 0.0) -> None:
        """Post a message in `delay` seconds, in the order of what is due."""
        self._put(message, delay, 0)

    def close(self) -> None:
        """Forget what waits and end the thread, once its target has answered."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _put(self, message: Message, delay: float, tries: int) -> None:
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) >= MOST:
                self.dropped += 1
                return
            heapq.heappush(self._waiting, (time.monotonic() + delay, next(self._order), tries, message))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ses-events", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            tries, message = taken
            try:
                answer = post(self._target, message.body, message.headers)
            except Exception as exc:  # noqa: BLE001 - an app in this process may raise anything
                answer = Answer(None, f"the app raised {type(exc).__name__}")
            message.answered(answer)
            if answer.again and tries < len(PAUSES):
                self._put(message, PAUSES[tries], tries + 1)
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _next(self) -> tuple[int, Message] | None:
        with self._changed:
            while not self._closed:
                if not self._waiting:
                    self._changed.wait()
                    continue
                rest = self._waiting[0][0] - time.monotonic()
                if rest <= 0:
                    _, _, tries, message = heapq.heappop(self._waiting)
                    self._busy += 1
                    return tries, message
                self._changed.wait(rest)
            return None
