"""What enqueue.lua is called with: the keys and arguments of a batch, for whichever client sends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rq_ses import contract
from rq_ses.keys import Keys
from rq_ses.outbox.entry import Entry
from rq_ses.rqdate import utcformat
from rq_ses.states import SCHEDULED


class Terms(NamedTuple):
    """What all mails of an Outbox have in common."""

    queue: str
    """Name of the RQ queue of normal mails."""
    result_ttl: int
    """Seconds for which the receipt of a sent mail is kept; -1 for ever."""
    failure_ttl: int
    """Seconds for which a failed mail is kept; -1 for ever."""


class EnqueueArguments:
    """KEYS and ARGV of enqueue.lua for one queue and its priorities.

    Args:
        keys: of the server, or of a partition.
        terms: what all mails have in common.
    """

    def __init__(self, keys: Keys, terms: Terms) -> None:
        self._keys = (keys.queues, keys.scratch)
        # Jobs call their queues by their places, from 1 on (rq_ses.outbox.entry).
        self._places = {
            str(place): (keys.queue(name), keys.registry(SCHEDULED, name), name, keys.wake(name))
            for place, name in enumerate(contract.queue_names(terms.queue), 1)
        }
        self._job_prefix = keys.job_prefix
        self._terms = (contract.JOB_TIMEOUT, terms.result_ttl, terms.failure_ttl)

    def of(self, batch: Sequence[Entry], *, strict: bool) -> tuple[list[str], list[Any]]:
        """Return the keys and arguments of a batch; `strict`: a conflict refuses all of it."""
        keys = list(self._keys)
        args: list[Any] = [self._job_prefix, "strict" if strict else ""]
        args += (contract.KEY_FIELD, contract.RECIPIENTS_FIELD, utcformat(datetime.now(UTC)))
        args += self._terms
        for place in dict.fromkeys(entry.place for entry in batch):
            queue, scheduled, name, channel = self._places[place]
            keys += (queue, scheduled)
            args += (place, name, channel)
        for entry in batch:
            args += entry.fields
        return keys, args
