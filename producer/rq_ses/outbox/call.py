"""One call to an Outbox: what it asks for, and what became of its messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

from rq_ses.errors import DurabilityUnconfirmed, IdempotencyConflict, RqSesError
from rq_ses.outbox.entry import Entry
from rq_ses.receipt import Receipt

OnConflict = Literal["raise", "keep"]
ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)
"""What to do about a key that stands for another message."""

CONFLICT: Final = "conflict"
"""What enqueue.lua says of a key that stands for another message."""

_TAKEN: Final = ("enqueued", "ours")

Result = Receipt | IdempotencyConflict | ValueError


class Call:
    """What one call asks for beside its messages, and whether their durability is in doubt.

    Args:
        on_conflict: what to do about a key that stands for another message.
        durable: wait for the disk and the replicas.
        whole: where a conflict is an error, nothing of its batch is enqueued.

    Raises:
        ValueError: `on_conflict` is another word.
    """

    def __init__(self, on_conflict: OnConflict, *, durable: bool, whole: bool = True) -> None:
        if on_conflict not in ON_CONFLICT:
            raise ValueError(
                f"on_conflict: {on_conflict!r:.80} can't be used: give one of {', '.join(ON_CONFLICT)}"
            )
        self._keeps = on_conflict == "keep"
        self._durable = durable
        self.strict = whole and not self._keeps
        self.trace: Mapping[str, str] = {}
        """What the jobs' options get of the span that sends them."""
        self.doubt = ""
        """Why durability isn't confirmed; "" while it is."""
        self._apart: tuple[Receipt, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether to wait for durability; after the first doubt there is nothing to wait for."""
        return self._durable and not self.doubt

    def receipt(self, entry: Entry, word: str) -> Receipt:
        """Return what stands for an entry by enqueue.lua's word. Raises IdempotencyConflict."""
        if word != CONFLICT:
            return Receipt(entry.job_id, duplicate=word == "duplicate")
        if not self._keeps:
            raise IdempotencyConflict(entry.key or "", entry.job_id)
        return Receipt(entry.job_id, duplicate=True, conflict=True)

    def receipts(self, batch: Sequence[Entry], words: Sequence[str]) -> list[Receipt]:
        """Return what stands for a batch. Raises IdempotencyConflict."""
        try:
            return [self.receipt(entry, word) for entry, word in zip(batch, words, strict=True)]
        except IdempotencyConflict:
            self.took(batch, words)
            raise

    def took(self, batch: Sequence[Entry], words: Sequence[str]) -> None:
        """Remember what is enqueued of a batch that breaks off: other partitions took it."""
        told = zip(batch, words, strict=True)
        self._apart = tuple(Receipt(entry.job_id) for entry, word in told if word in _TAKEN)

    def end(self, receipts: Sequence[Receipt]) -> None:
        """Raise DurabilityUnconfirmed if what was enqueued isn't known to be durable."""
        if self.doubt and receipts:
            raise DurabilityUnconfirmed(receipts, self.doubt)

    def broken_off(self, exc: RqSesError, receipts: Iterable[Receipt]) -> None:
        """Let an error that ends the call tell what is enqueued, and of the doubt about it."""
        exc.receipts = (*receipts, *self._apart)
        if self.doubt and exc.receipts and not isinstance(exc, DurabilityUnconfirmed):
            exc.add_note(f"durability of what is enqueued is not confirmed: {self.doubt}")


class Results:
    """What stands for each message of a call that goes on after one that can't be enqueued.

    A message has its place when it is read, and is certain once its batch was written.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.all: list[Result] = []
        self._places: list[int] = []
        self._written = 0

    def refuse(self, problem: ValueError) -> None:
        """Give the next message's place to why it can't be enqueued."""
        self.all.append(problem)

    def expect(self, entry: Entry) -> None:
        """Keep the next message's place for what its batch brings."""
        self._places.append(len(self.all))
        self.all.append(Receipt(entry.job_id))

    def write(self, batch: Sequence[Entry], words: Sequence[str]) -> None:
        """Put down what enqueue.lua said of a batch."""
        for entry, word in zip(batch, words, strict=True):
            place = self._places[self._written]
            try:
                self.all[place] = self._call.receipt(entry, word)
            except IdempotencyConflict as exc:
                self.all[place] = exc
            self._written += 1

    def certain(self) -> tuple[Result, ...]:
        """Return those of the first messages, as far as they are certain."""
        if self._written < len(self._places):
            return tuple(self.all[: self._places[self._written]])
        return tuple(self.all)


def receipts_of(results: Iterable[Result]) -> list[Receipt]:
    """Return those results that are Receipts."""
    return [result for result in results if isinstance(result, Receipt)]
