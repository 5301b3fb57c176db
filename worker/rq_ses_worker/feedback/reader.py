"""Reads a queue: each message is deleted when its event is stored, and left where it is otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from rq_ses.feedback.receiver import Answer, Receiver
from rq_ses_worker.feedback.sqs import QueuedMessage, SqsRefused

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds after a call that failed; each further one in a row doubles them."""


class Asks(Protocol):
    """A queue (rq_ses_worker.feedback.sqs.SqsClient)."""

    def receive(self) -> list[QueuedMessage]:
        """Return messages. Raises SqsRefused."""

    def delete(self, messages: Sequence[QueuedMessage]) -> int:
        """Delete messages; return how many couldn't be. Raises SqsRefused."""


class Reports(Protocol):
    """Is told what becomes of messages (rq_ses_worker.feedback.reporting.Reporting)."""

    def answered(self, answer: Answer) -> None:
        """Note what became of a message."""

    def left(self, message: QueuedMessage, answer: Answer) -> None:
        """Note one that stays in the queue, for it can't be read by anybody."""

    def away(self, why: str) -> None:
        """Note that the queue didn't answer, or that messages couldn't be deleted."""

    def back(self) -> None:
        """Note that it answers."""


class QueueReader:
    """Takes messages out of a queue in a thread, until it is told to stop.

    Args:
        queue: where they come from.
        receiver: checks and stores them.
        reports: is told what becomes of them.
        stop: is set when there is enough.
        wait: waits for `stop` for so many seconds.
    """

    def __init__(
        self,
        queue: Asks,
        receiver: Receiver,
        reports: Reports,
        stop: threading.Event,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._queue = queue
        self._receiver = receiver
        self._reports = reports
        self._stop = stop
        self._wait = wait or stop.wait
        self._pause = 0.0
        self.busy = False
        """Whether it has messages in hand that it stores."""

    def run(self) -> None:
        """Read until told to stop; what goes wrong outside is told and tried again."""
        while not self._stop.is_set():
            self.read_once()
            if self._pause:
                self._wait(self._pause)

    def read_once(self) -> None:
        """Take what there is, store it, and delete what was stored."""
        try:
            messages = self._queue.receive()
        except SqsRefused as exc:
            self._failed(str(exc))
            return
        self.busy = True
        try:
            self._take(messages)
        finally:
            self.busy = False

    def _take(self, messages: Sequence[QueuedMessage]) -> None:
        self._reports.back()
        done, stored = [], True
        for message in messages:
            answer = self._receiver.receive(message.body.encode("utf-8", "surrogatepass"))
            self._reports.answered(answer)
            if answer.is_done:
                done.append(message)
            elif answer.status < 500:
                self._reports.left(message, answer)
            else:
                stored = False
        if done and not self._delete(done):
            return
        # What couldn't be checked or stored is seen again when it isn't hidden any more.
        self._pause = 0.0 if stored else self._next_pause()

    def _delete(self, done: Sequence[QueuedMessage]) -> bool:
        """Delete messages; those that stay come again, and are known then."""
        try:
            left = self._queue.delete(done)
        except SqsRefused as exc:
            self._failed(str(exc))
            return False
        if left:
            self._failed(f"DeleteMessageBatch: {left} messages were not deleted")
        return not left

    def _failed(self, why: str) -> None:
        self._reports.away(why)
        self._pause = self._next_pause()

    def _next_pause(self) -> float:
        return min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
