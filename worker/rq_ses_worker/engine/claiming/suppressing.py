"""Asks the suppression list about all recipients of a claim at once, before anybody begins to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rq_ses.suppression.address import folded
from rq_ses.suppression.lookup import Lookup
from rq_ses_worker.engine.attempt import read
from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import Terminal

KEPT: Final = 64 * 1024
"""Bytes of data up to which what was read is kept for who sends: few larger mails should be in memory."""


def marked(claims: Sequence[Claim], suppression: Lookup) -> list[Claim]:
    """Return claims with those of their recipients that are suppressed. Raises RedisError."""
    tasks = [_read(claim) for claim in claims]
    asked = [_recipients(task) for task in tasks]
    found = suppression.suppressed_of(one for some in asked for one in some)
    return [
        claim._replace(
            task=task if len(claim.data) <= KEPT else None,
            suppressed={one: found[one] for one in some if one in found},
        )
        for claim, task, some in zip(claims, tasks, asked, strict=True)
    ]


def _read(claim: Claim) -> Task | Terminal | None:
    try:
        return read(claim)
    except Exception:  # noqa: BLE001 - a defect, which whoever sends it will meet again, and report
        return None


def _recipients(task: Task | Terminal | None) -> list[str]:
    return [folded(one) for one in task.recipients] if isinstance(task, Task) else []
