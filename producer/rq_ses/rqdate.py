"""Moments in RQ's form, in which its hashes have them: RQ 3.0's `utcformat` and what its classes parse.

Written here, so that who enqueues a mail needn't import RQ for a line of it.
"""

from __future__ import annotations

from datetime import datetime


def utcformat(moment: datetime) -> str:
    """Return a moment in UTC as RQ writes it."""
    # A third of what strftime takes.
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
