"""Writes entries to the partitions they belong to: of each batch, each partition's part in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rq_ses.errors import RqSesError
from rq_ses.outbox.call import CONFLICT, Call
from rq_ses.outbox.entry import Entry
from rq_ses.outbox.plans.enqueueing import Enqueueing
from rq_ses.outbox.plans.steps import Words
from rq_ses.partition import partition_of
from rq_ses.plan import Plan

_REFUSED: Final = "refused"
"""What enqueue.lua says of entries that are not written, for another one of the batch is a conflict."""


class Spreading:
    """Stands for the Enqueueings of all partitions of a queue. Threads may share it.

    Args:
        enqueueings: of each partition, in order.
    """

    def __init__(self, enqueueings: Sequence[Enqueueing]) -> None:
        self._enqueueings = tuple(enqueueings)

    def now(self, job_id: str = "") -> Plan[float]:
        """Return the time (epoch seconds) of a job's server. Raises OutboxUnavailable."""
        return self._enqueueings[self._place(job_id)].now()

    def batch(self, entries: Sequence[Entry], call: Call) -> Plan[Words]:
        """Write entries, those of a partition in one step, and return enqueue.lua's word for each.

        The call learns what partitions had taken before another one broke it off.

        Raises:
            OutboxUnavailable: a server didn't answer in time, or refuses; of all these entries.
            DurabilityUnconfirmed: it is durable, and a server can't confirm anything; nothing is written.
        """
        parts: dict[int, list[int]] = {}
        for number, entry in enumerate(entries):
            parts.setdefault(self._place(entry.job_id), []).append(number)
        if call.waits and len(parts) > 1:
            for place in parts:
                yield from self._enqueueings[place].check_durability()
        words = [_REFUSED] * len(entries)
        try:
            for place in sorted(parts):
                part = [entries[number] for number in parts[place]]
                told = yield from self._enqueueings[place].batch(part, call)
                for number, word in zip(parts[place], told, strict=True):
                    words[number] = word
                if call.strict and CONFLICT in told:
                    break
        except RqSesError:
            call.took(entries, words)
            raise
        return words

    def _place(self, job_id: str) -> int:
        return partition_of(job_id, len(self._enqueueings))
