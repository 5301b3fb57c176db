"""The threads that a worker can't do without: one that dies ends it, for none of the others can stand in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import Denied

log = logging.getLogger(__name__)


class ThreadDied(Exception):
    """Raised when a thread of the worker has died; `thread` is its name, the cause stands in the log."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(f"the worker's {thread} has died")


class VitalThreads:
    """Makes the threads of one worker, and knows of the first that dies.

    Args:
        died: called when one has died.
    """

    def __init__(self, died: Callable[[], None] = lambda: None) -> None:
        self._died = died
        self._cause: Denied | ThreadDied | None = None

    @property
    def all_live(self) -> bool:
        """Whether none has died."""
        return self._cause is None

    def check(self) -> None:
        """Raise Denied or ThreadDied if a thread has died."""
        if self._cause is not None:
            raise self._cause

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Return a thread that does `work`; it isn't started yet."""
        return threading.Thread(target=self._watched, args=(name, work), name=name, daemon=True)

    def _watched(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Denied as exc:
            self.end(exc)
        except BaseException:  # noqa: BLE001 - whatever it was, somebody must know
            events.PART_DIED.log(log, trace=True, part=name)
            self.end(ThreadDied(name))

    def end(self, cause: Denied | ThreadDied) -> None:
        """Let the worker end for this cause, unless there was one before."""
        self._cause = self._cause or cause
        self._died()
