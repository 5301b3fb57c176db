"""The campaigns that are under way: what of the queues' jobs are theirs, and how many mails these are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rq_ses.server.stored import line

MOST: Final = 100
"""Campaigns that are looked at."""

FIELDS: Final = ("queue", "state", "enqueued", "sent", "canceled", "discarded")
"""Of a record."""


@dataclass(frozen=True, slots=True)
class CampaignState:
    """A campaign that has entries left: in its queue they stand in jobs, of up to fifty each."""

    name: str
    queue: str
    state: str
    """sending, paused or canceled."""
    enqueued: int
    left: int
    """Entries that wait, or have failed."""


def named(answer: Any) -> list[bytes]:
    """Return the campaigns that are looked at, of a set's members."""
    return sorted(answer)[:MOST] if isinstance(answer, set) else []


def campaign_state(name: bytes, answer: Any) -> CampaignState | None:
    """Return a campaign as its record has it; None if it has no entries left, or no such record."""
    if not isinstance(answer, list) or answer[0] is None:
        return None
    queue, state, *numbers = answer
    counts = [int(one) if one and one.isdigit() and len(one) < 15 else 0 for one in numbers]
    left = counts[0] - sum(counts[1:])
    if left <= 0:
        return None
    return CampaignState(line(name, 100), line(queue, 120), line(state, 20), counts[0], left)


def together(found: Iterable[Sequence[CampaignState]]) -> tuple[CampaignState, ...]:
    """Return campaigns of several partitions as one: numbers are sums."""
    enqueued, left = Counter[str](), Counter[str]()
    first: dict[str, CampaignState] = {}
    for states in found:
        for one in states:
            first.setdefault(one.name, one)
            enqueued[one.name] += one.enqueued
            left[one.name] += one.left
    return tuple(
        CampaignState(name, one.queue, one.state, enqueued[name], left[name]) for name, one in first.items()
    )
