"""A campaign's record and its jobs, and whether they agree: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rq_ses import states

COUNTS: Final = ("enqueued", "sent", "canceled", "discarded")
FIELDS: Final = ("state", "complete", "queue", "terms", *COUNTS, "changed_at", "writing")
"""Of a record: those that are looked at."""

STATES: Final = frozenset({"sending", "paused", "canceled"})

WAITING: Final = frozenset({*states.WAITING, states.DEFERRED, states.STARTED})
"""Statuses of jobs whose entries are still to be sent."""

Record = Mapping[str, str | None]
"""A record's fields; None is one that it hasn't."""


@dataclass(slots=True)
class Tally:
    """What the jobs of one campaign have, added up."""

    waiting: int = 0
    """Entries that are still to be sent."""
    failed: int = 0
    started: int = 0
    """Jobs that a worker holds."""
    deferred: list[bytes] = field(default_factory=list)
    """Jobs that wait for the campaign to be resumed."""
    sample: bytes = b""
    """One of its jobs that isn't settled."""

    def add(self, job_id: bytes, status: str, entries: int) -> None:
        """Count one job."""
        if status in WAITING:
            self.waiting += entries
            self.started += status == states.STARTED
            if status == states.DEFERRED:
                self.deferred.append(job_id)
        elif states.REGISTRY.get(status) == states.FAILED:
            self.failed += entries
        else:
            return
        self.sample = job_id

    @property
    def left(self) -> int:
        """Return how many entries are neither sent, nor canceled, nor discarded."""
        return self.waiting + self.failed

    @property
    def totals(self) -> tuple[int, int, int]:
        """Return what is the same of a campaign that rests."""
        return self.waiting, self.failed, self.started


class Finding(NamedTuple):
    """What is wrong with a campaign's record, and what it should say: nothing, if that isn't known."""

    found: str
    fields: Mapping[str, str]
    done: str = ""


def is_there(record: Record) -> bool:
    """Tell whether there is a record at all."""
    return any(value is not None for value in record.values())


def judge(record: Record, tally: Tally) -> Finding | None:
    """Return what is wrong with the counts of a campaign that rests, None if nothing is."""
    counts = {name: _count(record[name]) for name in COUNTS}
    odd = [name for name in COUNTS if counts[name] is None]
    state = record["state"]
    fixed = {name: str(value or 0) for name, value in counts.items()}
    known = {name: int(value) for name, value in fixed.items()}
    missing = known["enqueued"] - known["sent"] - known["canceled"] - known["discarded"] - tally.left
    if missing > 0:
        fixed["discarded"] = str(known["discarded"] + missing)
    elif missing < 0:
        fixed["enqueued"] = str(known["enqueued"] - missing)
    if state not in STATES:
        fixed["state"] = "sending"
    if not odd and missing == 0 and state in STATES:
        return None
    return Finding("; ".join(_words(record, odd, missing, tally)), fixed, _done(odd, missing, state))


def _words(record: Record, odd: list[str], missing: int, tally: Tally) -> list[str]:
    words = [f"{name} is {record[name]!r:.40}, which is no number" for name in odd]
    if record["state"] not in STATES:
        words.append(f"its state is {record['state']!r:.40}, which is none")
    if missing > 0:
        words.append(f"{_entries(missing)} in no job: they were deleted by hand, or their time was over")
    elif missing < 0:
        words.append(
            f"its jobs have {_entries(-missing)} more than it counts (waiting {tally.waiting:,}, "
            f"failed {tally.failed:,})"
        )
    return words


def _done(odd: list[str], missing: int, state: str | None) -> str:
    words = []
    if odd or state not in STATES:
        words.append("what was none is made anew")
    if missing > 0:
        words.append(f"{_entries(missing)} counted as discarded")
    elif missing < 0:
        words.append(f"{_entries(-missing)} counted as enqueued")
    return "; ".join(words)


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def _count(text: str | None) -> int | None:
    if text is None:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 15 else None
