"""The stream of outcomes, as one group of readers has it: what they take is theirs until it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.keys import keys_of
from rq_ses.outcomes.outcome import Outcome, read_outcomes

FIELD: Final = b"outcome"

ABANDONED: Final = 120
"""Seconds after which what a reader took, and no longer keeps, is given to others.

More than its longest pause and one delivery take.
"""

_CONSUMER: Final = "rq-ses"
"""All readers of a group have one name: who has what is told by time alone, and no name is left behind."""


class Entry(NamedTuple):
    """What stands at one place of the stream: an outcome, or several; none if it can't be read."""

    place: bytes
    outcomes: tuple[Outcome, ...]

    @property
    def written(self) -> float:
        """When it was written (epoch seconds of the server)."""
        return int(self.place.partition(b"-")[0]) / 1000


class OutcomeStream:
    """One group's view of the stream; every method may raise RedisError, and may then be called again.

    Args:
        connection: a client of ours; the group's alone.
        group: its name.
    """

    def __init__(self, connection: Redis, group: str) -> None:
        self._connection: Any = connection
        self._key: Final = keys_of(connection).outcomes
        self.group: Final = group
        self._after: bytes | str = "0-0"

    def join(self) -> None:
        """Make the group, unless it is there: what stands in the stream by then is its, too."""
        try:
            self._connection.xgroup_create(self._key, self.group, id="0", mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    def take(self, most: int) -> list[Entry]:
        """Take outcomes that nobody in the group has taken yet, the oldest first."""
        try:
            found = self._connection.xreadgroup(self.group, _CONSUMER, {self._key: ">"}, count=most)
        except ResponseError as exc:
            if "NOGROUP" not in str(exc):
                raise
            self.join()  # somebody has emptied the server
            return []
        pairs = found.items() if isinstance(found, dict) else found
        for _, entries in pairs:
            # RESP3 wraps the entries once more.
            nested = entries[0] if isinstance(found, dict) and entries else entries
            return [_entry(place, fields) for place, fields in nested]
        return []

    def take_abandoned(self, most: int, *, after: float = ABANDONED) -> list[Entry]:
        """Take what somebody took and hasn't kept for `after` seconds: it is gone, or let go of it."""
        answer = self._connection.xautoclaim(
            self._key, self.group, _CONSUMER, int(after * 1000), start_id=self._after, count=most
        )
        self._after = answer[0]
        # Servers before 7.0 tell of entries that were trimmed, too: without fields.
        return [_entry(place, fields) for place, fields in answer[1] if fields]

    def keep(self, places: Sequence[bytes]) -> None:
        """Say that what was taken is still in hand."""
        self._connection.xclaim(self._key, self.group, _CONSUMER, 0, list(places), justid=True)

    def release(self, places: Sequence[bytes]) -> None:
        """Let go of what was taken: others may take it at once."""
        if places:
            idle = int(ABANDONED * 2000)
            self._connection.xclaim(self._key, self.group, _CONSUMER, 0, list(places), idle=idle, justid=True)

    def done(self, places: Sequence[bytes]) -> None:
        """Say that these need not be told any more."""
        self._connection.xack(self._key, self.group, *places)

    def trim(self) -> int:
        """Drop what every group is done with; return how many entries are left."""
        needed = []
        for group in self._connection.xinfo_groups(self._key):
            if group["pending"]:
                needed.append(self._connection.xpending(self._key, group["name"])["min"])
            else:
                needed.append(group["last-delivered-id"])
        oldest = min(needed, key=moment, default="0-0")  # where there is no group all is needed
        if moment(oldest) > (0, 0):
            self._connection.xtrim(self._key, minid=oldest, approximate=False)
        return int(self._connection.xlen(self._key))


def _entry(place: bytes, fields: Any) -> Entry:
    text = fields.get(FIELD) if isinstance(fields, dict) else None
    try:
        return Entry(place, read_outcomes(text or b""))
    except ValueError:
        return Entry(place, ())


def moment(place: bytes | str) -> tuple[int, int]:
    """Return a place as what places are compared by."""
    text = place.decode() if isinstance(place, bytes) else place
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number or 0)
