"""How many claims the threads that send have in hand."""

from __future__ import annotations

import threading
import time


class Underway:
    """Counts the claims of a number of threads that send: submitted, and not ended yet."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.ended_at = 0.0
        """Moment (time.monotonic()) at which a thread became free last."""
        self._submitted = 0
        self._ended = 0
        self._ending = threading.Lock()

    def submitted(self) -> None:
        """Count one more. One thread alone submits."""
        self._submitted += 1

    def ended(self) -> None:
        """Count one less."""
        self.ended_at = time.monotonic()
        with self._ending:
            self._ended += 1

    @property
    def busy(self) -> int:
        """Number of claims whose attempt hasn't ended."""
        return self._submitted - self._ended

    @property
    def idle(self) -> int:
        """Number of threads that have nothing to send; negative if more was submitted than there are."""
        return self.threads - self.busy

    @property
    def others(self) -> int:
        """Number of attempts under way beside the asking thread's own."""
        return min(self.busy, self.threads) - 1
