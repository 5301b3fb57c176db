"""What every group of hooks has yet to be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from rq_ses.outcomes.stream import moment
from rq_ses.text.plaintext import one_line

MOST_GROUPS: Final = 20


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one group has yet to be told."""

    group: str
    """webhook, python, django, or one of somebody else's."""
    waiting: int
    """Outcomes that nobody in the group is done with."""
    oldest: float | None
    """Seconds since the oldest of them was written, about; None: there is none."""


def ask(pipeline: Any, stream: str) -> None:
    """Ask what `read` needs: three answers."""
    pipeline.xlen(stream)
    pipeline.xrange(stream, count=1)
    pipeline.xinfo_groups(stream)


def read(answers: tuple[Any, Any, Any], now: float) -> tuple[Backlog, ...]:
    """Return the backlogs; none where there is no stream, or it can't be read."""
    length, first, groups = answers
    if not isinstance(length, int) or not isinstance(groups, list) or not isinstance(first, list):
        return ()
    began = moment(first[0][0])[0] / 1000 if first else now
    found = []
    for group in groups[:MOST_GROUPS]:
        lag = group.get("lag")
        # Servers before 7.0 don't tell, and those after only if nothing was dropped from the middle.
        untaken = lag if isinstance(lag, int) else length
        waiting = int(group["pending"]) + untaken
        name = one_line(group["name"].decode("utf-8", "replace"), 40)
        found.append(Backlog(name, waiting, max(0.0, now - began) if waiting else None))
    return tuple(sorted(found, key=lambda backlog: backlog.group))


def together(parts: Iterable[Backlog]) -> tuple[Backlog, ...]:
    """Return the backlogs of some partitions as one for each group."""
    found: dict[str, Backlog] = {}
    for part in parts:
        other = found.get(part.group, Backlog(part.group, 0, None))
        ages = [one.oldest for one in (part, other) if one.oldest is not None]
        found[part.group] = Backlog(part.group, part.waiting + other.waiting, max(ages, default=None))
    return tuple(found[group] for group in sorted(found))
