"""Moves dead letters back into their queue: each in one step, each once, whoever else is at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from rq_ses.deadletter.bounding import within
from rq_ses.deadletter.edits import Check, Edited, EditRefused, Edits
from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.reading.reader import Passed, raw_id
from rq_ses.deadletter.reading.readers import Readers
from rq_ses.interrupts import interrupts_held
from rq_ses.keys import keys_of
from rq_ses.outbox.batching import batches
from rq_ses.outbox.ranges import checked_limit
from rq_ses.rqdate import utcformat
from rq_ses.server.partitions import Partitions
from rq_ses.server.script import registered
from rq_ses.states import FAILED

BATCH: Final = 500
BATCH_BYTES: Final = 4 * 1024 * 1024
_STEPS_A_SECOND: Final = 10.0
"""How evenly a rate is kept."""


@dataclass(slots=True)
class Resent:
    """What a resend has done, and what it left where it was."""

    resent: int = 0
    unknown: int = 0
    """Left: SES may have accepted them."""
    invalid: int = 0
    """Left: no valid message with the edits, nor without them."""
    again: int = 0
    """Left: resent by this very call, or at the same time by somebody else, and failed anew since."""
    gone: int = 0
    """Entries of the failed registry without a failed job: expired, or moved by somebody else."""
    foreign: int = 0
    """Left: jobs that aren't mails of ours."""
    partly: int = 0
    """Left: entries of a campaign that failed together, of which not all are wanted (name them by `ids`)."""


class _Move(NamedTuple):
    letter: DeadLetter
    edited: Edited | None

    @property
    def size(self) -> int:
        return len(self.edited.data) if self.edited else 0

    @property
    def mails(self) -> int:
        return self.letter.mails


class Pace:
    """Keeps so many a second, evenly, from its first call on."""

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate is not None and not 0 < rate <= 1e6:
            raise ValueError(f"rate: {rate!r:.80} is out of range: give mails a second, more than 0")
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due: float | None = None
        self.step = BATCH if rate is None else max(1, min(BATCH, int(rate / _STEPS_A_SECOND)))

    def wait(self, count: int) -> None:
        """Wait until `count` more are due."""
        if self._rate is None:
            return
        now = self._clock()
        due = now if self._due is None else self._due
        if due > now:
            self._sleep(due - now)
        # What was late isn't made up for by a burst.
        self._due = max(due, now - 1 / _STEPS_A_SECOND) + count / self._rate


class Resending:
    """Resends dead letters.

    Args:
        partitions: the clients.
        readers: read from them.
    """

    def __init__(self, partitions: Partitions, readers: Readers) -> None:
        self._partitions = partitions
        self._readers = readers
        self._script = registered(partitions.own, "deadletter/resend")

    def run(
        self,
        wanted: Filter,
        *,
        limit: int | None,
        rate: float | None,
        include_unknown: bool,
        edits: Mapping[str, Any],
        on_progress: Callable[[Resent], None] | None,
    ) -> Resent:
        """Resend what is wanted (see DeadLetters.resend)."""
        checked_limit(limit)
        pace, changes = Pace(rate), Edits(edits, named=wanted.ids is not None)
        since = self._readers.times()
        if changes:
            self._check(wanted, changes, include_unknown=include_unknown)
        result, passed = Resent(), Passed()
        letters = self._readers.letters(wanted, passed, payloads=bool(changes), checked=True, since=since)
        moves = self._moves(letters, result, changes, include_unknown=include_unknown)
        for batch in _by_place(batches(moves, most=pace.step, most_bytes=BATCH_BYTES)):
            if limit is not None:
                batch = within(batch, limit - result.resent)
            pace.wait(sum(move.mails for move in batch))
            with interrupts_held():  # what was moved is counted and told
                if batch:
                    self._move(batch, result)
                result.gone, result.foreign = result.gone + passed.gone, passed.foreign
                result.again, passed.gone, passed.again = result.again + passed.again, 0, 0
                if on_progress:
                    on_progress(result)
            if limit is not None and result.resent >= limit:
                break
        else:
            result.gone, result.foreign = result.gone + passed.gone, passed.foreign
            result.again += passed.again
        result.partly = passed.partly
        return result

    def _check(self, wanted: Filter, changes: Edits, *, include_unknown: bool) -> None:
        check = Check(changes)
        for letter in self._readers.letters(wanted, Passed(), payloads=True):
            if include_unknown or not letter.unknown:
                check.look(letter.job_id, letter.payload)
        check.end()

    def _moves(
        self, letters: Iterator[DeadLetter], result: Resent, changes: Edits, *, include_unknown: bool
    ) -> Iterator[_Move]:
        for letter in letters:
            if letter.unknown and not include_unknown:
                result.unknown += letter.mails
            elif not changes:
                yield _Move(letter, None)
            else:
                try:
                    edited = changes.apply(letter.payload) if letter.payload else None
                except EditRefused:
                    edited = None
                if edited:
                    yield _Move(letter, edited)
                else:
                    result.invalid += letter.mails

    def _move(self, batch: Sequence[_Move], result: Resent) -> None:
        queue = batch[0].letter.queue
        client = self._partitions.under(batch[0].letter.prefix)
        names = keys_of(client)
        keys = [names.registry(FAILED, queue), names.queue(queue), names.queues, names.scratch]
        args: list[Any] = [names.job_prefix, queue, names.wake(queue), utcformat(datetime.now(UTC))]
        for letter, edited in batch:
            meta = letter.fresh_meta() if letter.meta or letter.unknown else b""
            args += [raw_id(letter.job_id), letter.stamp, meta]
            args += [edited.data, edited.description, edited.recipients] if edited else ["", "", ""]
        with self._partitions.naming(client):
            words = self._script(keys=keys, args=args, client=client)
        for move, word in zip(batch, words, strict=True):
            if word == b"resent":
                result.resent += move.mails
            elif word == b"changed":
                result.again += 1
            else:
                result.gone += 1


def _by_place(found: Iterator[list[_Move]]) -> Iterator[list[_Move]]:
    for batch in found:
        for _, some in groupby(batch, key=lambda move: (move.letter.prefix, move.letter.queue)):
            yield list(some)
