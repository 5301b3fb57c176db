"""Tells a group's outcomes: at least once each, again with growing pauses, until they are taken or too old.

What is told together is a parcel. One that isn't taken is told again later, in halves, so that an outcome
which nobody takes holds up the others no longer than it must.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from redis.exceptions import RedisError

from rq_ses.outcomes.outcome import Outcome
from rq_ses.outcomes.stream import Entry, OutcomeStream

Deliver = Callable[[Sequence[Outcome]], None]
"""Tells outcomes to somebody; any exception says that they weren't taken."""

HELD: Final = 500
"""Outcomes that are held at most: taken, and not told yet."""

PARCELS: Final = 16
"""Parcels up to which one that isn't taken is divided: somebody who is away is not asked ever more often."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a parcel is told again."""

LOOK: Final = 0.5
"""Seconds between two looks into a stream that has nothing new."""

KEEP: Final = 30.0
"""Seconds after which all that is held is kept once more, so that nobody takes it for left."""

TIDY: Final = 10.0
"""Seconds between two looks for what others have left, and for what can be dropped."""

GIVE_UP: Final = 259_200.0
"""Seconds (3 days) after which an outcome isn't told any more."""


@dataclass(slots=True)
class Parcel:
    """Outcomes that are told together."""

    entries: list[Entry]
    due: float = 0.0
    """time.monotonic() before which it isn't told."""
    failures: int = 0

    @property
    def outcomes(self) -> list[Outcome]:
        """What is told."""
        return [outcome for entry in self.entries for outcome in entry.outcomes]

    @property
    def places(self) -> list[bytes]:
        """Where its outcomes stand in the stream."""
        return [entry.place for entry in self.entries]

    def failed(self, clock: float, *, divide: bool) -> list[Parcel]:
        """Return what is told in its place, later: itself, or its halves."""
        failures = self.failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        # Many workers shall not come back at once.
        due = clock + pause * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
        middle = len(self.entries) // 2
        # The first failure says more about whoever is told than about what.
        if not (middle and divide and failures > 1):
            return [Parcel(self.entries, due, failures)]
        return [Parcel(half, due, failures) for half in (self.entries[:middle], self.entries[middle:])]


class Trouble(NamedTuple):
    """What goes wrong with telling: for whoever runs a delivery."""

    kind: Literal["refused", "given up", "full"]
    """A parcel wasn't taken; an outcome isn't told any more; the stream drops what is oldest, told or not."""
    outcomes: int = 1
    """How many it is about; of a full stream, how many it has."""
    outcome: Outcome | None = None
    """The one that is given up; None could not be read."""
    error: Exception | None = None
    """What the parcel was refused with; it is being handled."""


class Delivery:
    """Tells one group's outcomes, in whichever thread calls `step`.

    Args:
        stream: the group's.
        deliver: is called with a parcel's outcomes, by the thread that steps.
        parcel: outcomes in a parcel at most; what stands at one place of the stream stays together.
        told: hears what goes wrong.
        full: entries of the stream from which on it drops the oldest.
    """

    def __init__(
        self,
        stream: OutcomeStream,
        deliver: Deliver,
        *,
        parcel: int = 100,
        told: Callable[[Trouble], None] = lambda _: None,
        full: int = 0,
    ) -> None:
        self._stream = stream
        self._deliver = deliver
        self._parcel = parcel
        self._told = told
        self._full = full
        self._parcels: list[Parcel] = []
        self._tidy_at = float("-inf")
        self._kept_at = time.monotonic()
        self._joined = False

    @property
    def held(self) -> int:
        """How many outcomes are taken and not told yet."""
        return sum(len(parcel.outcomes) for parcel in self._parcels)

    def step(self) -> float:
        """Take what is new, tell what is due; return the seconds after which to step again.

        Raises:
            RedisError: what was taken is kept, and told by a later step.
        """
        if not self._joined:
            self._stream.join()
            self._joined = True
        try:
            more = self._take()
        except RedisError:
            # Its group may have gone with a server that came back empty.
            self._joined = False
            raise
        for parcel in [one for one in self._parcels if one.due <= time.monotonic()]:
            self._tell(parcel)
        if more:
            return 0.0
        next_due = min((parcel.due for parcel in self._parcels), default=float("inf"))
        return max(0.0, min(LOOK, next_due - time.monotonic()))

    def drain(self, seconds: float) -> None:
        """Tell what there is once, for as long as that; then let go of what is left: others tell it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._take():
            for parcel in [one for one in self._parcels if not one.failures]:
                if time.monotonic() < end:
                    self._tell(parcel)
        for parcel in self._parcels:
            self._stream.release(parcel.places)
        self._parcels.clear()

    def _take(self) -> bool:
        """Take new parcels if there is room; tell whether there may be more."""
        clock = time.monotonic()
        found: list[Entry] = []
        room = HELD - self.held
        if clock - self._tidy_at >= TIDY:
            self._tidy()
            self._tidy_at = clock
            if room > 0:
                found = self._stream.take_abandoned(min(room, 100))
        if not found and room > 0:
            found = self._stream.take(min(room, 100))
        for entry in found:
            if not entry.outcomes:
                self._told(Trouble("given up"))
                self._stream.done([entry.place])
        self._parcels += _parcels([entry for entry in found if entry.outcomes], self._parcel)
        return bool(found)

    def _tidy(self) -> None:
        if self._tidy_at == float("-inf"):
            return  # groups that begin together with this one may not be there yet
        length = self._stream.trim()
        if self._full and length >= self._full:
            self._told(Trouble("full", length))

    def _keep(self, parcel: Parcel) -> None:
        """Keep what is told next; of many that are told slowly, the others, too."""
        if time.monotonic() - self._kept_at < KEEP:
            self._stream.keep(parcel.places)
            return
        self._stream.keep([place for one in self._parcels for place in one.places])
        self._kept_at = time.monotonic()

    def _tell(self, parcel: Parcel) -> None:
        self._keep(parcel)
        try:
            self._deliver(parcel.outcomes)
        except Exception as exc:  # noqa: BLE001 - whatever it is: it wasn't taken
            self._told(Trouble("refused", len(parcel.outcomes), error=exc))
            self._parcels.remove(parcel)
            for later in parcel.failed(time.monotonic(), divide=len(self._parcels) + 2 <= PARCELS):
                self._later(later)
        else:
            self._stream.done(parcel.places)
            self._parcels.remove(parcel)

    def _later(self, parcel: Parcel) -> None:
        """Keep a parcel for later, without what is too old."""
        now = time.time()
        old = [entry for entry in parcel.entries if now - entry.written > GIVE_UP]
        parcel.entries = [entry for entry in parcel.entries if entry not in old]
        for outcome in Parcel(old).outcomes:
            self._told(Trouble("given up", outcome=outcome))
        if parcel.entries:
            self._parcels.append(parcel)
        if old:
            self._stream.done([entry.place for entry in old])


def _parcels(entries: Sequence[Entry], most: int) -> list[Parcel]:
    """Return entries in parcels of at most so many outcomes, but of one entry at least."""
    found: list[Parcel] = []
    room = 0
    for entry in entries:
        room -= len(entry.outcomes)
        if room < 0 or not found:
            found.append(Parcel([]))
            room = most - len(entry.outcomes)
        found[-1].entries.append(entry)
    return found
