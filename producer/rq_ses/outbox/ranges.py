"""Checks the numbers that a caller gives: waits, times to live, limits."""

from __future__ import annotations

from typing import Any

from rq_ses.contract import YEARS


def checked_wait(name: str, seconds: Any, most: float = YEARS) -> float:
    """Return how long to wait. Raises ValueError for anything but a number above 0 and up to `most`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= most:
        raise ValueError(f"{name}: {seconds!r:.80} is out of range: give seconds > 0, up to {most:g}")
    return seconds


def checked_ttl(name: str, seconds: Any) -> int:
    """Return how long something is kept, -1 for ever. Raises ValueError: Redis and RQ take whole seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not -1 <= seconds <= YEARS:
        raise ValueError(
            f"{name}: {seconds!r:.80} is out of range: give whole seconds up to {YEARS}, or -1 for ever"
        )
    return seconds


def checked_limit(limit: int | None) -> int | None:
    """Return how many there may be at most, None for all. Raises ValueError for less than none."""
    if limit is not None and limit < 0:
        raise ValueError(f"limit: {limit!r:.80} is out of range: give a number ≥ 0")
    return limit
