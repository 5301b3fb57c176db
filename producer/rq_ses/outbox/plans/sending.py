"""Plans the calls of an Outbox: one message, or many that are drawn one by one and written in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rq_ses import contract
from rq_ses.errors import RqSesError, SendManyInterrupted, UnusableMessage
from rq_ses.message.payload import Mailable
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.batching import BATCH_BYTES, BATCH_MESSAGES, Cut
from rq_ses.outbox.call import Call, Result, Results, receipts_of
from rq_ses.outbox.entry import Draft, Entry
from rq_ses.outbox.plans.enqueueing import Enqueueing
from rq_ses.outbox.plans.spreading import Spreading
from rq_ses.outbox.plans.steps import DRAW, END, Await, Begin, Words
from rq_ses.outbox.submission import Submission
from rq_ses.plan import Plan
from rq_ses.receipt import Receipt
from rq_ses.tracing.spans import Tracing

Outcome = TypeVar("Outcome")
Take = Callable[[list[Entry], Words], None]


class Sending:
    """Plans the calls to one queue.

    Args:
        queue: the name of the queue of normal mails.
        enqueueing: where its mails are written.
        tracing: makes a span for each call; None makes none.
    """

    def __init__(
        self, queue: str, enqueueing: Enqueueing | Spreading, tracing: Tracing | None = None
    ) -> None:
        self._queue = queue
        self._enqueueing = enqueueing
        self._tracing = tracing

    def now(self) -> Plan[float]:
        """Return the server's time, as Outbox.server_time does."""
        return self._enqueueing.now()

    def send(self, submission: Submission, call: Call) -> Plan[Receipt]:
        """Enqueue one message, as Outbox.send does."""
        plan = self._send(submission, call)
        if self._tracing is None or submission.priority not in contract.PRIORITIES:
            return plan
        return self._traced(plan, call, contract.queue_name(self._queue, submission.priority), batch=False)

    def _send(self, submission: Submission, call: Call) -> Plan[Receipt]:
        entry = yield from self._entry(submission, call)
        words = yield from self._enqueueing.batch([entry], call)
        [receipt] = call.receipts([entry], words)
        call.end([receipt])
        return receipt

    def send_many(self, call: Call) -> Plan[list[Receipt]]:
        """Enqueue what is drawn, as Outbox.send_many does."""
        return self._traced(self._send_many(call), call, self._queue, batch=True)

    def _send_many(self, call: Call) -> Plan[list[Receipt]]:
        receipts: list[Receipt] = []

        def take(batch: list[Entry], words: Words) -> None:
            receipts.extend(call.receipts(batch, words))

        try:
            yield from self._written(lambda item: self._usable(item, call), call, take)
        except RqSesError as exc:
            call.broken_off(exc, receipts)
            raise
        call.end(receipts)
        return receipts

    def try_send_many(self, call: Call) -> Plan[list[Result]]:
        """Enqueue of what is drawn what can be, as Outbox.try_send_many does."""
        return self._traced(self._try_send_many(call), call, self._queue, batch=True)

    def _try_send_many(self, call: Call) -> Plan[list[Result]]:
        results = Results(call)

        def make(item: Any) -> Plan[Entry | None]:
            try:
                entry = yield from self._entry(item, call)
            except ValueError as exc:
                results.refuse(exc)
                return None
            except TypeError as exc:
                raise UnusableMessage(str(exc)) from exc
            results.expect(entry)
            return entry

        try:
            yield from self._written(make, call, results.write)
            call.end(receipts_of(results.all))
        except RqSesError as exc:
            exc.results = results.certain()
            call.broken_off(exc, receipts_of(exc.results))
            raise
        return results.all

    def _traced(self, plan: Plan[Outcome], call: Call, queue: str, *, batch: bool) -> Plan[Outcome]:
        """Return a plan that is carried out under a span, if spans are made."""
        if self._tracing is None:
            return plan

        def use(trace: Mapping[str, str]) -> None:
            call.trace = trace

        return self._tracing.sending(plan, queue, use, batch=batch)

    def _entry(self, item: AnyMessage | Submission, call: Call) -> Plan[Entry]:
        draft = Draft(item, self._queue)
        now = (yield from self._enqueueing.now(draft.job_id)) if draft.asks_time else 0.0
        return draft.entry(now, call.trace)

    def _usable(self, item: Any, call: Call) -> Plan[Entry]:
        try:
            return (yield from self._entry(item, call))
        except (ValueError, TypeError) as exc:
            raise UnusableMessage(str(exc)) from exc

    def _written(self, make: Callable[[Any], Plan[Entry | None]], call: Call, take: Take) -> Plan[None]:
        """Draw messages, make entries and write them, with `take` for each batch and its words, in order.

        While a full batch is written, the next is made; none is written before the one before it was taken.
        """
        cut: Cut[Entry] = Cut(most=BATCH_MESSAGES, most_bytes=BATCH_BYTES)
        turns = _Turns(lambda batch: self._enqueueing.batch(batch, call), take)
        try:
            while (item := (yield from _drawn())) is not END:
                if entry := (yield from make(item)):
                    for batch in cut.add(entry):
                        yield from turns.write(batch)
            for batch in cut.rest():
                yield from turns.write(batch)
        except Exception:
            # Where the next batch can't be made it matters more what became of the one that is being written.
            yield from turns.end()
            raise
        yield from turns.end()


class _Turns:
    """Writes batches, one at a time; a full one beside the plan, which goes on."""

    def __init__(self, write: Callable[[list[Entry]], Plan[Words]], take: Take) -> None:
        self._write = write
        self._take = take
        self._begun: tuple[list[Entry], Any] | None = None

    def write(self, batch: list[Entry]) -> Plan[None]:
        """Take the batch before this one, and write this one, or begin to. Raises what either ends with."""
        yield from self.end()
        plan = self._write(batch)
        if len(batch) < BATCH_MESSAGES:
            # Most calls have one small batch: these shall not pay for a thread.
            self._take(batch, (yield from plan))
        else:
            self._begun = batch, (yield Begin(plan))

    def end(self) -> Plan[None]:
        """Take the batch that was begun, if there is one. Raises what it ends with."""
        if self._begun:
            (batch, begun), self._begun = self._begun, None
            self._take(batch, (yield Await(begun)))


def _drawn() -> Plan[Any]:
    try:
        return (yield DRAW)
    except Exception as exc:
        raise SendManyInterrupted(f"what gave the messages raised {type(exc).__name__}: {exc}") from exc


def checked_messages(messages: Any, *further: str) -> Any:
    """Return what was given as messages.

    Args:
        messages: an iterable, or what was given in place of one.
        further: methods by which an iterable of another kind is told.

    Raises:
        TypeError: it is no iterable of messages.
    """
    # A message can be iterated over, too: pydantic gives its fields.
    kind: Any = type(messages)
    told = ("__iter__", "__getitem__", *further)
    if issubclass(kind, Mailable) or not any(hasattr(kind, name) for name in told):
        raise TypeError(f"messages: a {kind.__name__} is no iterable of messages: give a list, or call send")
    return messages
