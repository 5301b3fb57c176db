"""The producer's side: put messages into the queue, once each, or say that it could not be done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.errors import RqSesError, UnusableMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.arguments import Terms
from rq_ses.outbox.call import Call, OnConflict, Result, Results, receipts_of
from rq_ses.outbox.durability import Confirmation
from rq_ses.outbox.enqueueing import Enqueueing
from rq_ses.outbox.entry import Entry, make_entry
from rq_ses.outbox.messages import drawn
from rq_ses.outbox.ranges import checked_ttl, checked_wait
from rq_ses.outbox.spreading import Spreading
from rq_ses.outbox.submission import OnUnknown, Priority, Seconds, Submission
from rq_ses.partition import partition_keys
from rq_ses.receipt import Receipt
from rq_ses.server.location import Location

ENQUEUE_TIMEOUT: Final = 2.0
"""Seconds for which a call tries again while Redis is away."""

_TTL_BEYOND: Final = 60
"""Seconds by which a job outlives the call that enqueues it, which looks for it after a lost reply."""

_OR_ELSE: Final = ", or let Outbox.from_env() read RQ_SES_REDIS_URL and its siblings"


class Outbox:
    """Enqueue messages for the workers of one queue, or rather of its priorities' three (docs/redis.md).

    A message is durable once the call has returned, as far as the server's appendfsync promises. Threads may
    share an Outbox; after a fork the connection pool renews itself.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        queue: name of the RQ queue of normal mails; QUEUE-high and QUEUE-bulk hold those of other priority.
        partitions: prefixes of the queue's partitions; none by default (docs/how-to/partitions.md).
        connection: a redis-py client (redis.Redis) in place of `redis_url`. It is left as it is: the Outbox
            makes a pool of its own to the same server, without the client's retries and time-outs.
        result_ttl: seconds for which the receipt of a sent mail is kept (-1: for ever); at least a minute
            more than `enqueue_timeout`, so that a call whose answer was lost finds what it has done.
        failure_ttl: seconds for which a failed mail is kept (-1: for ever).
        enqueue_timeout: seconds for which a call tries again while Redis is away. After a call that ended so,
            one every 5 s has as long, the others a quarter of a second, until Redis is back.
        durable_replicas: replicas that must hold what a durable call has written; 0 waits for the disk alone.
        durable_timeout: seconds a durable call waits for either, beyond `enqueue_timeout`.

    Raises:
        ValueError: an argument can't be used.
        TypeError: `connection` is no client of one server.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        queue: str = contract.DEFAULT_QUEUE,
        *,
        partitions: str | Sequence[str] = (),
        connection: Redis | None = None,
        result_ttl: int = contract.RESULT_TTL,
        failure_ttl: int = contract.FAILURE_TTL,
        enqueue_timeout: float = ENQUEUE_TIMEOUT,
        durable_replicas: int = 0,
        durable_timeout: float = 5.0,
    ) -> None:
        server = Location.given(redis_url, connection, to="Outbox", otherwise=_OR_ELSE)
        self.queue = _checked_queue(queue)
        checked_wait("enqueue_timeout", enqueue_timeout)
        terms = _terms(queue, enqueue_timeout, result_ttl, failure_ttl)
        confirmation = Confirmation(durable_replicas, durable_timeout)
        each = [
            Enqueueing(server, keys, terms, timeout=enqueue_timeout, confirmation=confirmation)
            for keys in partition_keys(partitions, server.keys)
        ]
        self._enqueueing = each[0] if len(each) == 1 else Spreading(each)
        self.connections = tuple(one.connection for one in each)
        self.connection = self.connections[0]

    @classmethod
    def from_env(cls, *, config: str | None = None, **overrides: Any) -> Outbox:
        """Return the Outbox that the settings describe: those that `rq-ses` reads for its commands.

        RQ_SES_REDIS_URL, RQ_SES_QUEUE and their siblings count, else the file that RQ_SES_CONFIG names.

        Args:
            config: a file in place of that one.
            overrides: settings by their names (redis_url, queue, result_ttl, …) that count before all others.

        Raises:
            SettingsError: with a line for each that is missing, wrong, or no setting at all.
        """
        # Here, for an Outbox that is given its arguments reads no settings.
        from rq_ses.settings.producer import load_producer_settings

        return cls(**load_producer_settings(config=config, **overrides).model_dump())

    def send(
        self,
        message: AnyMessage,
        *,
        key: str | None = None,
        at: datetime | None = None,
        delay: Seconds | None = None,
        expires: datetime | Seconds | None = None,
        on_unknown: OnUnknown | None = None,
        priority: Priority = "normal",
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> Receipt:
        """Enqueue one message and return its Receipt.

        Args:
            message: what to send.
            key: idempotency key; the same key and message give the first Receipt again with
                `duplicate=True`: while the mail waits, while it is failed, at least 24 h after it was sent.
                The first call's terms stand, whatever the other arguments say later.
            at: aware datetime before which it is not sent; all times go by the server's clock.
            delay: seconds (or a timedelta) for which it is not sent.
            expires: aware datetime, or seconds from now, after which it is failed rather than sent.
            on_unknown: "resend" or "hold", when SES may have accepted it; else as the worker is set.
            priority: "high" is claimed before "normal", that before "bulk"; see docs/rate.md.
            durable: return only when the server's disk, and `durable_replicas`, have it (docs/redis.md).
            on_conflict: if `key` stands for another message: "raise", or "keep" that one and return its
                Receipt with `conflict=True`; this message is not sent then.

        Raises:
            IdempotencyConflict: `key` stands for another message.
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses, which says why.
            DurabilityUnconfirmed: with `durable`: enqueued but not confirmed, or (no receipts) not enqueued.
            ValueError: an argument is unusable; nothing was enqueued.
        """
        call = Call(on_conflict, durable=durable)
        entry = self._entry(Submission(message, key, at, delay, expires, on_unknown, priority))
        [receipt] = call.receipts([entry], self._enqueueing.batch([entry], call))
        call.end([receipt])
        return receipt

    def send_many(
        self,
        messages: Iterable[AnyMessage | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Receipt]:
        """Enqueue messages in batches, each (with partitions: its part for each) one atomic step.

        Return their Receipts in order. Each error has those of the batches before it in `receipts`: these
        messages are enqueued. Behind them stand those of the last batch that other partitions took.

        Raises:
            IdempotencyConflict: a key stands for another message; of its batch, its partition takes nothing.
            OutboxUnavailable: Redis didn't answer in time; `job_ids` are those in doubt.
            DurabilityUnconfirmed: with `durable`: all are enqueued, but a batch was not confirmed in time.
            SendManyInterrupted: `messages` itself raised (`__cause__`); of its batch nothing is enqueued.
            UnusableMessage: an element is no message, or its terms can't be used; likewise, and a ValueError.
        """
        call = Call(on_conflict, durable=durable)
        receipts: list[Receipt] = []
        try:
            for batch, words in self._enqueueing.batches(self._entries(messages), call):
                receipts += call.receipts(batch, words)
        except RqSesError as exc:
            call.broken_off(exc, receipts)
            raise
        call.end(receipts)
        return receipts

    def try_send_many(
        self,
        messages: Iterable[AnyMessage | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Result]:
        """Enqueue what can be, and let the error of what can't stand in the place of its Receipt.

        Each error it raises has in `results` what stands for the first messages, as far as that is certain,
        and their Receipts in `receipts`.

        Raises:
            OutboxUnavailable: as `send_many` does.
            DurabilityUnconfirmed: as `send_many` does.
            SendManyInterrupted: `messages` itself raised (`__cause__`).
        """
        call = Call(on_conflict, durable=durable, whole=False)
        results = Results(call)
        try:
            for batch, words in self._enqueueing.batches(self._usable(messages, results), call):
                results.write(batch, words)
            call.end(receipts_of(results.all))
        except RqSesError as exc:
            exc.results = results.certain()
            call.broken_off(exc, receipts_of(exc.results))
            raise
        return results.all

    def server_time(self) -> float:
        """Return the server's time (epoch seconds), by which terms are reckoned; asked once a minute at most.

        Raises:
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`.
        """
        return self._enqueueing.now()

    def _entries(self, messages: Iterable[AnyMessage | Submission]) -> Iterator[Entry]:
        for message in drawn(messages):
            try:
                entry = self._entry(message)
            except (ValueError, TypeError) as exc:
                raise UnusableMessage(str(exc)) from exc
            yield entry

    def _usable(self, messages: Iterable[AnyMessage | Submission], results: Results) -> Iterator[Entry]:
        for message in drawn(messages):
            try:
                entry = self._entry(message)
            except ValueError as exc:
                results.refuse(exc)
            except TypeError as exc:
                raise UnusableMessage(str(exc)) from exc
            else:
                results.expect(entry)
                yield entry

    def _entry(self, item: AnyMessage | Submission) -> Entry:
        return make_entry(item, self.queue, self._enqueueing.now)


def _terms(queue: str, enqueue_timeout: float, result_ttl: int, failure_ttl: int) -> Terms:
    least = math.ceil(enqueue_timeout) + _TTL_BEYOND
    given = checked_ttl("result_ttl", result_ttl), checked_ttl("failure_ttl", failure_ttl)
    return Terms(queue, *(ttl if ttl < 0 else max(ttl, least) for ttl in given))


def _checked_queue(name: str) -> str:
    try:
        return contract.checked_queue(name)
    except ValueError as exc:
        raise ValueError(f"queue: {exc}") from exc
