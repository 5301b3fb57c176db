"""Deletes dead letters: each in one step, and only what still is the failed mail that was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.deadletter.bounding import within
from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.reading.reader import Passed, raw_id
from rq_ses.deadletter.reading.readers import Readers
from rq_ses.interrupts import interrupts_held
from rq_ses.keys import keys_of
from rq_ses.outbox.ranges import checked_limit
from rq_ses.server.partitions import Partitions
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
    partly: int = 0
    """Left: entries of a campaign that failed together, of which not all are wanted (name them by `ids`)."""


class Discarding:
    """Deletes dead letters.

    Args:
        partitions: the clients.
        readers: read from them.
    """

    def __init__(self, partitions: Partitions, readers: Readers) -> None:
        self._partitions = partitions
        self._readers = readers
        self._script = registered(partitions.own, "deadletter/discard")

    def run(
        self, wanted: Filter, *, limit: int | None, on_progress: Callable[[Discarded], None] | None
    ) -> Discarded:
        """Delete what is wanted (see DeadLetters.discard)."""
        checked_limit(limit)
        result, passed = Discarded(), Passed()
        letters = self._readers.letters(wanted, passed, checked=True)
        while batch := list(islice(letters, _step(limit, result))):
            batch = within(batch, None if limit is None else limit - result.discarded)
            with interrupts_held():  # what was deleted is counted and told
                for (prefix, queue), some in groupby(batch, key=lambda one: (one.prefix, one.queue)):
                    self._delete(self._partitions.under(prefix), queue, list(some), result)
                if on_progress:
                    on_progress(result)
        result.gone, result.foreign = result.gone + passed.gone, passed.foreign
        result.partly = passed.partly
        return result

    def _delete(self, client: Redis, queue: str, letters: Sequence[DeadLetter], result: Discarded) -> None:
        names = keys_of(client)
        args: list[Any] = [names.job_prefix, names.results_prefix, names.campaign("")]
        args += [contract.CAMPAIGN_FIELD, contract.RECIPIENTS_FIELD]
        for letter in letters:
            args += [raw_id(letter.job_id), letter.stamp]
        keys = [names.registry(FAILED, queue), names.scratch]
        with self._partitions.naming(client):
            words = self._script(keys=keys, args=args, client=client)
        for letter, word in zip(letters, words, strict=True):
            if word == b"discarded":
                result.discarded += letter.mails
                result.unknown += letter.mails if letter.unknown else 0
            elif word == b"changed":
                result.again += 1
            else:
                result.gone += 1


def _step(limit: int | None, result: Discarded) -> int:
    return BATCH if limit is None else min(BATCH, limit - result.discarded)
