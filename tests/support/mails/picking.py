"""One of several things, by a number that a test's data gives."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TypeVar

Thing = TypeVar("Thing")


def latest(things: Sequence[Thing], number: int) -> list[Thing]:
    """Return one of them, counted from the end, or none where there is none."""
    return [things[-1 - number % len(things)]] if things else []


def some(job_ids: Set[str], number: int) -> list[str]:
    """Return one of them, or none where there is none."""
    return sorted(job_ids)[number % len(job_ids) :][:1] if job_ids else []
