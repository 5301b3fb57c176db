"""Enqueueing when a transaction is committed: what is rolled back sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from weakref import ref

from django.db import transaction

from rq_ses.django.conversion import Converted
from rq_ses.django.enqueueing import enqueue
from rq_ses.django.options import Options

_LOOKED_AT: Final = 64
"""Callbacks of a transaction, the latest first, among which one of ours is looked for."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _Callback:
    """What the commit calls: it enqueues its own mails, and those of all later callbacks of its batch.

    The mails of a batch are committed or rolled back together, so the first of its callbacks enqueues them
    all and leaves nothing to the others. Each send has one all the same: a test may run only the later ones.

    Django calls none of those behind one that raises, so that one calls them: those of `group` that are still
    there, for what is rolled back Django lets go of.
    """

    batch: list[Converted]
    start: int
    options: Options
    group: list[ref[_Callback]]
    """All of the transaction, in their order."""

    def __call__(self) -> None:
        try:
            self._enqueue()
        except Exception as exc:
            for one in self.group[self.group.index(ref(self)) + 1 :]:
                if later := one():
                    try:
                        later._enqueue()
                    except Exception as more:  # noqa: BLE001 - one is raised, the others go with it
                        exc.add_note(f"Another mail of the transaction: {more}")
            raise

    def _enqueue(self) -> None:
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
    batch, group = _open_batch(connection, options), _open_group(connection)
    callback = _Callback(batch, len(batch), options, group)
    group.append(ref(callback))
    batch += mails
    transaction.on_commit(callback, using=options.using)
    return True


def _open_batch(connection: Any, options: Options) -> list[Converted]:
    """Return the batch to which mails belong that are sent now: those that are rolled back with them."""
    scope = _savepoints(connection.savepoint_ids)
    for savepoints, callback in _latest(connection):
        if callback.options == options and _savepoints(savepoints) == scope:
            return callback.batch
    return []


def _open_group(connection: Any) -> list[ref[_Callback]]:
    return next((callback.group for _, callback in _latest(connection)), [])


def _latest(connection: Any) -> Iterator[tuple[Sequence[str | None], _Callback]]:
    """Yield our callbacks that wait for the commit, each with its savepoints."""
    for savepoints, callback, *_ in islice(reversed(connection.run_on_commit), _LOOKED_AT):
        if isinstance(callback, _Callback):
            yield savepoints, callback


def _savepoints(names: Sequence[str | None]) -> set[str | None]:
    """Return the savepoints among what Django notes: it has None for a block that has none."""
    return set(names) - {None}
