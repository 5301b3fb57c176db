"""Dead letters counted by what SES said and by cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rq_ses.deadletter.cause import cause
from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.hints import hint_for

MOST: Final = 1000
"""Groups kept apart: a stranger who makes up causes must not fill the memory."""

OTHER: Final = "(other causes)"


@dataclass(frozen=True, slots=True)
class Group:
    """Mails that failed alike; `oldest` and `newest` are when the first and the last of them failed."""

    code: str
    cause: str
    """SES's words with ADDRESS, ID, NUMBER, NAME and TEXT in place of what differs; fit to be shown."""
    count: int
    unknown: int
    """How many of them SES may have accepted."""
    oldest: datetime | None
    newest: datetime | None
    http_status: int | None = None
    letters: int = 0
    """How many dead letters they are: a campaign's entries that failed together are one."""

    @property
    def hint(self) -> str | None:
        """Return what can be done about it, if anything is known."""
        return hint_for(self.code, self.cause, self.http_status)


@dataclass(frozen=True, slots=True)
class Groups:
    """All groups, the largest first, and what was passed over."""

    groups: tuple[Group, ...] = ()
    gone: int = 0
    """Entries of the failed registry without a failed job: expired, or moved by somebody else meanwhile."""
    foreign: int = 0
    """Jobs that aren't mails of ours."""

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def count(self) -> int:
        """Return how many mails they are."""
        return sum(group.count for group in self.groups)

    @property
    def unknown(self) -> int:
        """Return how many of them SES may have accepted."""
        return sum(group.unknown for group in self.groups)

    @property
    def letters(self) -> int:
        """Return how many dead letters they are: a campaign's entries that failed together are one."""
        return sum(group.letters for group in self.groups)


@dataclass(slots=True)
class _Count:
    status: int | None
    count: int = 0
    letters: int = 0
    unknown: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(slots=True)
class Tally:
    """Counts dead letters into groups, in bounded memory."""

    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)

    def add(self, letter: DeadLetter) -> None:
        """Count one."""
        key = (letter.code, cause(letter.message, letter.code))
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MOST:
                key = (OTHER, "")
            count = self._counts.setdefault(key, _Count(letter.http_status))
        count.count += letter.mails
        count.unknown += letter.mails if letter.unknown else 0
        count.letters += 1
        at = letter.failed_at
        if at is not None:
            if count.oldest is None or at < count.oldest:
                count.oldest = at
            if count.newest is None or at > count.newest:
                count.newest = at

    def groups(self) -> tuple[Group, ...]:
        """Return the groups, the largest first."""
        found = [
            Group(code, text, c.count, c.unknown, c.oldest, c.newest, c.status, c.letters)
            for (code, text), c in self._counts.items()
        ]
        return tuple(sorted(found, key=lambda group: (-group.count, group.code, group.cause)))
