"""RQ's statuses of a job, as RQ spells them, and the registry in which a job of each stands.

A registry is named as its key is (`Keys.registry`): that of started jobs is `wip`. What each status
means for a mail stands in docs/concepts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUEUED: Final = "queued"
"""It stands in its queue's list, and in no registry."""
SCHEDULED: Final = "scheduled"
STARTED: Final = "started"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
STOPPED: Final = "stopped"
"""RQ's command stop-job ended it; it stands among the failed ones."""
DEFERRED: Final = "deferred"

WIP: Final = "wip"
"""The registry of started jobs."""

REGISTRY: Final[Mapping[str, str]] = {
    SCHEDULED: SCHEDULED,
    STARTED: WIP,
    FINISHED: FINISHED,
    FAILED: FAILED,
    STOPPED: FAILED,
    CANCELED: CANCELED,
    DEFERRED: DEFERRED,
}
"""Where a job of a status stands; a queued one stands in the list."""

WAITING: Final = (QUEUED, SCHEDULED)
"""Nobody sends it yet."""

SETTLED: Final = (FINISHED, FAILED, CANCELED)
"""Nothing will be done about it any more, unless somebody asks."""
