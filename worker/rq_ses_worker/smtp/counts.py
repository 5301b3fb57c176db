"""What the ingress counts: numbers that its event loop writes and its monitor's threads read."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from rq_ses_worker.smtp.replies import REASONS, Reason

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def _reasons() -> dict[Reason, int]:
    return dict.fromkeys(REASONS, 0)


@dataclass(slots=True)
class Counts:
    """Counters from the start on, and how things stand."""

    taken: int = 0
    repeated: int = 0
    """Of those taken: mails that were there already."""
    recipients: int = 0
    refused: dict[Reason, int] = field(default_factory=_reasons)
    logins: int = 0
    connections: int = 0
    """At the moment."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    """That enqueueing took in all; `buckets` counts it for each bound and above."""
    ready: bool = False
    """Redis has been reached and found fit."""
    stopping: bool = False
    pulse: float = field(default_factory=time.monotonic)
    """When the event loop went round last (time.monotonic())."""

    def observe(self, seconds: float) -> None:
        """Count how long it took to enqueue a mail."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
