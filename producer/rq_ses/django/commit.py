"""Enqueueing when a transaction is committed: what is rolled back sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.db import transaction

from rq_ses.django.conversion import Converted
from rq_ses.django.enqueueing import enqueue
from rq_ses.django.options import Options

_LOOKED_AT: Final = 64
"""Callbacks of a transaction, the latest first, among which one of ours is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Callback:
    """What the commit calls: it enqueues its own mails, and those of all later callbacks of its batch.

    The mails of a batch are committed or rolled back together, so the first of its callbacks enqueues them
    all and leaves nothing to the others. Each send has one all the same: a test may run only the later ones.
    """

    batch: list[Converted]
    start: int
    options: Options

    def __call__(self) -> None:
        mails = self.batch[self.start :]
        del self.batch[self.start :]
        if mails:
            enqueue(mails, self.options)


def enqueue_on_commit(mails: Sequence[Converted], options: Options) -> bool:
    """Let mails be enqueued by the commit; False if no transaction is open.

    In a coroutine none is: Django has transactions in threads alone.
    """
    connection = transaction.get_connection(options.using)
    if not connection.in_atomic_block:
        return False
    batch = _open_batch(connection, options)
    callback = _Callback(batch, len(batch), options)
    batch += mails
    transaction.on_commit(callback, using=options.using)
    return True


def _open_batch(connection: Any, options: Options) -> list[Converted]:
    """Return the batch to which mails belong that are sent now: those that are rolled back with them."""
    scope = _savepoints(connection.savepoint_ids)
    for savepoints, callback, *_ in islice(reversed(connection.run_on_commit), _LOOKED_AT):
        if (
            isinstance(callback, _Callback)
            and callback.options == options
            and _savepoints(savepoints) == scope
        ):
            return callback.batch
    return []


def _savepoints(names: Sequence[str | None]) -> set[str | None]:
    """Return the savepoints among what Django notes: it has None for a block that has none."""
    return set(names) - {None}
