"""What became of the messages of one call, and what the call still waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, get_args

from rq_ses.errors import DurabilityUnconfirmed, IdempotencyConflict, RqSesError, SendManyInterrupted
from rq_ses.message.message import Message
from rq_ses.outbox.entry import Entry
from rq_ses.outbox.submission import Submission
from rq_ses.receipt import Receipt

OnConflict = Literal["raise", "keep"]
ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)
"""What to do about a key that stands for another message."""

Result = Receipt | IdempotencyConflict | ValueError


class Wait:
    """Whether a call shall wait for durability; after the first doubt there is nothing to wait for."""

    def __init__(self, durable: bool) -> None:
        self._durable = durable
        self.doubt = ""

    @property
    def wanted(self) -> bool:
        return self._durable and not self.doubt

    def end(self, receipts: list[Receipt]) -> None:
        if self.doubt and receipts:
            raise DurabilityUnconfirmed(receipts, self.doubt)

    def tell(self, exc: RqSesError) -> None:
        """Let an error that ends the call for another reason tell of the doubt, too."""
        if self.doubt and exc.receipts and not isinstance(exc, DurabilityUnconfirmed):
            exc.add_note(f"durability of what is enqueued is not confirmed: {self.doubt}")


def keeps(on_conflict: OnConflict) -> bool:
    if on_conflict not in ON_CONFLICT:
        raise ValueError(
            f"on_conflict: {on_conflict!r:.80} can't be used: give one of {', '.join(ON_CONFLICT)}"
        )
    return on_conflict == "keep"


def receipt_of(entry: Entry, word: str, *, keep: bool) -> Receipt:
    if word != "conflict":
        return Receipt(entry.job_id, duplicate=word == "duplicate")
    if not keep:
        raise IdempotencyConflict(entry.key or "", entry.job_id)
    return Receipt(entry.job_id, duplicate=True, conflict=True)


def receipts_of(results: Iterable[Result]) -> list[Receipt]:
    return [result for result in results if isinstance(result, Receipt)]


def drawn(messages: Iterable[Message | Submission]) -> Iterator[Message | Submission]:
    """Yield what an iterable holds. Raises SendManyInterrupted from what it raises."""
    # A message can be iterated over, too: pydantic gives its fields.
    kind: Any = type(messages)
    if issubclass(kind, Message) or not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        raise TypeError(f"messages: a {kind.__name__} is no iterable of messages: give a list, or call send")
    iterator = iter(messages)
    while True:
        try:
            message = next(iterator)
        except StopIteration:
            return
        except Exception as exc:
            raise SendManyInterrupted(f"what gave the messages raised {type(exc).__name__}: {exc}") from exc
        yield message
