"""What enqueue.lua is called with: the keys and arguments of a batch, for whichever client sends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rq_ses import contract
from rq_ses.keys import Keys
from rq_ses.outbox.entry import Entry, Shared
from rq_ses.rqdate import utcformat


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
        self._root = keys.root
        self._terms = terms.result_ttl, terms.failure_ttl
        self._queues = contract.queue_names(terms.queue)

    def of(self, batch: Sequence[Entry], *, strict: bool) -> tuple[tuple[str, ...], list[Any]]:
        """Return the keys and arguments of a batch; `strict`: a conflict refuses all of it."""
        args: list[Any] = [self._root, "strict" if strict else "", utcformat(datetime.now(UTC)), *self._terms]
        run: Shared | None = None
        start = 0
        for entry in batch:
            if entry.shared != run:
                run, start = entry.shared, len(args)
                args += (0, self._queues[run.place], run.terms)
            args[start] += 1
            args += entry.fields
        return self._keys, args
