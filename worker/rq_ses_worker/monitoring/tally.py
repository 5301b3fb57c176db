"""What a worker process counts and how it is, as numbers in memory that its siblings' monitor reads.

One thread at a time writes each number, and writing one is one store: readers take no lock, and writers none
a mail. The memory is shared by processes that are forked from the one that made it, and outlives them: one
that is started anew goes on counting where its predecessor was killed, so that counters never go back.

prometheus_client's own way (files that each process maps) takes a lock and about 2 µs for each histogram;
here a mail costs about 2 µs in all, and nothing is left on a disk.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from rq_ses.contract import YEARS
from rq_ses_worker.lifecycle.records import Action, Claim, Settlement, Word, ended
from rq_ses_worker.ses.outcome import Outcome, Sent, kind_of

Phase = Literal["absent", "starting", "working", "stopping"]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
CODES: Final = 50
"""Distinct pairs of outcome and code a process tells apart; what comes later counts as code "other"."""

OTHER: Final = "other"

_PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_WRITTEN: Final = frozenset({"done", "late", "accepted", "told"})

_PID, _PHASE, _PULSE, _HEART, _IN_FLIGHT, _UNSETTLED, _SETTLED = range(7)
_HEAD: Final = _SETTLED + len(ACTIONS)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Where the numbers of a histogram stand: one for each bound, one above them all, then the sum."""

    at: int
    bounds: tuple[float, ...]

    @property
    def end(self) -> int:
        """The place behind its last number."""
        return self.at + len(self.bounds) + 2


EXCHANGE: Final = Histogram(_HEAD, (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0))
QUEUE_WAIT: Final = Histogram(
    EXCHANGE.end, (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
)
SETTLE_LAG: Final = Histogram(
    QUEUE_WAIT.end, (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0)
)

_NAME_BYTES: Final = 88
_ROW: Final = 1 + _NAME_BYTES // 8
_ROWS: Final = CODES + 4
_SIZE: Final = 8 * (SETTLE_LAG.end + _ROWS * _ROW)


@dataclass(frozen=True, slots=True)
class Reading:
    """A tally as it was at one moment; a histogram's counts are for each bound and above, then the sum."""

    phase: Phase
    pulse: float
    heart: float
    """Moments (time.monotonic()) at which the dispatcher went round last, and all threads last ran."""
    in_flight: int
    unsettled: int
    settled: Mapping[Action, float]
    outcomes: Mapping[tuple[str, str], float]
    histograms: Mapping[Histogram, tuple[float, ...]]


class Board:
    """The tallies of a number of worker processes that are about to start; make it before they are forked."""

    def __init__(self, processes: int = 1) -> None:
        self._memory = mmap.mmap(-1, processes * _SIZE)
        view = memoryview(self._memory)
        self.tallies = tuple(Tally(view[n * _SIZE : (n + 1) * _SIZE]) for n in range(processes))
        for tally in self.tallies:
            tally.pulse()
            tally.turn("starting")


class Tally:
    """The numbers of one process."""

    def __init__(self, memory: memoryview) -> None:
        self._bytes = memory
        self._numbers = memory.cast("d")
        self._places: dict[tuple[str, str], int] = {}
        self._minute, self._minute_began = b"", 0.0

    # Written by the process itself

    def enter(self) -> None:
        """Take over from whoever had this place: its counts go on, its state doesn't."""
        self._places = dict(self._rows())
        self.leave()
        self._numbers[_PULSE] = self._numbers[_HEART] = time.monotonic()
        self._numbers[_PID] = os.getpid()
        self.turn("starting")

    def turn(self, phase: Phase) -> None:
        """Note what the process is at."""
        self._numbers[_PHASE] = _PHASES.index(phase)

    def leave(self) -> None:
        """Note that the process has ended; its supervisor may have to do it."""
        self.turn("absent")
        self._numbers[_IN_FLIGHT] = self._numbers[_UNSETTLED] = self._numbers[_PID] = 0

    def pulse(self, in_flight: int = 0, unsettled: int = 0) -> None:
        """Note that the dispatcher goes round, how many mails are being sent, how many wait to be settled."""
        numbers = self._numbers
        numbers[_PULSE] = time.monotonic()
        numbers[_IN_FLIGHT] = in_flight
        # Read without a lock, what is held and what is being sent may belong to two moments.
        numbers[_UNSETTLED] = max(0, unsettled)

    def beat(self) -> None:
        """Note that all threads run."""
        self._numbers[_HEART] = time.monotonic()

    def claimed(self, claims: Sequence[Claim], now: float) -> None:
        """Count how long each mail of these has waited; `now`: the server's epoch seconds."""
        bounds, numbers, at = QUEUE_WAIT.bounds, self._numbers, QUEUE_WAIT.at
        for claim in claims:
            waited = now - self._moment(claim.queued_at)
            # Anybody may write a date, by whatever clock: what is queued in the future hasn't waited.
            if waited < YEARS:
                waited = waited if waited > 0 else 0.0
                mails = claim.granted or 1
                numbers[at + bisect_left(bounds, waited)] += mails
                numbers[at + len(bounds) + 1] += mails * waited

    def _moment(self, date: bytes) -> float:
        """Return the epoch seconds of a date in RQ's form, as of long ago if it is none."""
        minute = date[:16]
        try:
            if minute != self._minute:
                whole = datetime.fromisoformat(minute.decode("ascii")).replace(tzinfo=UTC)
                self._minute, self._minute_began = minute, whole.timestamp()
            # Of 2026-05-31T09:00:12.345678Z the seconds alone differ; parsing all of it takes twice as long.
            return self._minute_began + float(date[17:26])
        except ValueError:
            return 0.0

    def attempted(self, settlements: Sequence[Settlement]) -> None:
        """Count the attempts among these by how SES answered, and the time they took."""
        for settlement in settlements:
            outcome = settlement.outcome
            if outcome is not None:
                self._observe(EXCHANGE, settlement.seconds)
                if settlement.bulk:
                    for one, entries in settlement.bulk.outcomes:
                        self._answered(one, entries)
                else:
                    self._answered(outcome, 1)

    def _answered(self, outcome: Outcome, mails: int) -> None:
        key = ("sent", "") if type(outcome) is Sent else (kind_of(outcome), code_of(outcome))
        place = self._places.get(key) or self._place(key)
        self._numbers[place] += mails

    def settled(self, settlements: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Count what was written, and how late."""
        clock = time.monotonic()
        for settlement, word in zip(settlements, words, strict=True):
            if word in _WRITTEN:
                if settlement.bulk and settlement.bulk.division and word != "told":
                    for action, entries in ended(settlement.bulk, settlement).items():
                        self._numbers[_SETTLED + _ACTION_PLACES[action]] += entries
                else:
                    action = "sent" if word == "told" else settlement.action
                    mails = settlement.bulk.entries if settlement.bulk and word != "told" else 1
                    self._numbers[_SETTLED + _ACTION_PLACES[action]] += mails
                if settlement.outcome is not None:
                    self._observe(SETTLE_LAG, clock - settlement.ended_clock)

    def _observe(self, histogram: Histogram, value: float) -> None:
        bounds, numbers = histogram.bounds, self._numbers
        numbers[histogram.at + bisect_left(bounds, value)] += 1
        numbers[histogram.at + len(bounds) + 1] += value

    def _place(self, key: tuple[str, str]) -> int:
        """Return where a pair of outcome and code is counted."""
        if len(self._places) >= CODES and key[1] not in ("", OTHER):
            key = (key[0], OTHER)
        if key not in self._places:
            row = SETTLE_LAG.end + len(self._places) * _ROW
            name = " ".join(key).encode("ascii")[:_NAME_BYTES]
            self._bytes[8 * row + 8 : 8 * row + 8 + len(name)] = name
            self._places[key] = row
        return self._places[key]

    # Read by whoever shows it

    def read(self) -> Reading:
        """Return the numbers as they are now."""
        numbers = self._numbers.tolist()
        return Reading(
            phase=_PHASES[int(numbers[_PHASE])],
            pulse=numbers[_PULSE],
            heart=numbers[_HEART],
            in_flight=int(numbers[_IN_FLIGHT]),
            unsettled=int(numbers[_UNSETTLED]),
            settled={action: numbers[_SETTLED + place] for action, place in _ACTION_PLACES.items()},
            outcomes={key: numbers[place] for key, place in self._rows()},
            histograms={
                histogram: tuple(numbers[histogram.at : histogram.end])
                for histogram in (EXCHANGE, QUEUE_WAIT, SETTLE_LAG)
            },
        )

    def _rows(self) -> Iterator[tuple[tuple[str, str], int]]:
        for row in range(SETTLE_LAG.end, SETTLE_LAG.end + _ROWS * _ROW, _ROW):
            name = bytes(self._bytes[8 * row + 8 : 8 * (row + _ROW)]).rstrip(b"\0").decode("ascii")
            if not name:
                return
            outcome, _, code = name.partition(" ")
            yield (outcome, code), row


_ACTION_PLACES: Final = {action: place for place, action in enumerate(ACTIONS)}


def code_of(outcome: Outcome) -> str:
    """Return SES's name of an error, or one made of its HTTP status; what isn't a plain word is "other".

    Anybody may have answered: neither addresses nor markup may become the name of a time series.
    """
    code = outcome.code
    if not code:
        return "none" if outcome.status is None else f"HTTP_{outcome.status}"
    return code if _PLAIN.fullmatch(code) else OTHER
