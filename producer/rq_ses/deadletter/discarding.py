"""Deletes dead letters: each in one step, and only what still is the failed mail that was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final

from redis import Redis

from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.reading.reader import Passed, Reader, raw_id
from rq_ses.interrupts import interrupts_held
from rq_ses.keys import keys_of
from rq_ses.outbox.ranges import checked_limit
from rq_ses.server.script import registered
from rq_ses.states import FAILED

BATCH: Final = 500


@dataclass(slots=True)
class Discarded:
    """What a discard has done, and what it left where it was."""

    discarded: int = 0
    unknown: int = 0
    """Of those discarded: SES may have accepted them."""
    again: int = 0
    """Left: resent by somebody else at the same time, and failed anew since."""
    gone: int = 0
    """Entries of the failed registry without a failed job: expired, or moved by somebody else."""
    foreign: int = 0
    """Left: jobs that aren't mails of ours."""


class Discarding:
    """Deletes dead letters.

    Args:
        connection: a client.
        reader: reads from it.
    """

    def __init__(self, connection: Redis, reader: Reader) -> None:
        self._reader = reader
        self._keys = keys_of(connection)
        self._script = registered(connection, "deadletter/discard")

    def run(
        self, wanted: Filter, *, limit: int | None, on_progress: Callable[[Discarded], None] | None
    ) -> Discarded:
        """Delete what is wanted (see DeadLetters.discard)."""
        checked_limit(limit)
        result, passed = Discarded(), Passed()
        letters = self._reader.letters(wanted, passed, checked=True)
        while batch := list(islice(letters, _step(limit, result))):
            with interrupts_held():  # what was deleted is counted and told
                for queue, some in groupby(batch, key=lambda letter: letter.queue):
                    self._delete(queue, list(some), result)
                if on_progress:
                    on_progress(result)
        result.gone, result.foreign = result.gone + passed.gone, passed.foreign
        return result

    def _delete(self, queue: str, letters: Sequence[DeadLetter], result: Discarded) -> None:
        args: list[Any] = [self._keys.job_prefix, self._keys.results_prefix]
        for letter in letters:
            args += [raw_id(letter.job_id), letter.stamp]
        keys = [self._keys.registry(FAILED, queue), self._keys.scratch]
        words = self._script(keys=keys, args=args)
        for letter, word in zip(letters, words, strict=True):
            if word == b"discarded":
                result.discarded += 1
                result.unknown += letter.unknown
            elif word == b"changed":
                result.again += 1
            else:
                result.gone += 1


def _step(limit: int | None, result: Discarded) -> int:
    return BATCH if limit is None else min(BATCH, limit - result.discarded)
