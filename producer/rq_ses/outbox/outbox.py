"""The producer's side: put messages into the queue, once each, or say that it could not be done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from itertools import chain
from typing import Any, Final

from redis import Redis
from rq.utils import utcformat

from rq_ses import contract
from rq_ses.errors import IdempotencyConflict, RqSesError, UnusableMessage
from rq_ses.message.message import Message
from rq_ses.outbox.batching import batches, in_turn
from rq_ses.outbox.durability import MOST_WAIT, Durability
from rq_ses.outbox.entry import Entry, make_entry
from rq_ses.outbox.ranges import checked_ttl, checked_wait
from rq_ses.outbox.results import OnConflict, Result, Wait, drawn, keeps, receipt_of, receipts_of
from rq_ses.outbox.submission import OnUnknown, Priority, Seconds, Submission
from rq_ses.receipt import Receipt
from rq_ses.server.connection import connect, own_client
from rq_ses.server.insistence import Insistence
from rq_ses.settings.producer import load_producer_settings

BATCH_MESSAGES = 500
BATCH_BYTES = 4 * 1024 * 1024
ENQUEUE_TIMEOUT: Final = 2.0
_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 5.0, 2.0
_LARGE: Final = 1024 * 1024
"""Bytes of a batch that are too many to be written for nothing."""


class Outbox:
    """Enqueue messages for the workers of one queue, or rather of its priorities' three (docs/redis.md).

    A message is durable once the call has returned, as far as the server's appendfsync promises. Threads may
    share an Outbox; after a fork the connection pool renews itself.

    Args:
        redis_url: URL of the server, or of its Sentinels (see rq_ses.server.connection).
        queue: name of the RQ queue of normal mails; QUEUE-high and QUEUE-bulk hold those of other priority.
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
        connection: Redis | None = None,
        result_ttl: int = contract.RESULT_TTL,
        failure_ttl: int = contract.FAILURE_TTL,
        enqueue_timeout: float = ENQUEUE_TIMEOUT,
        durable_replicas: int = 0,
        durable_timeout: float = 5.0,
    ) -> None:
        if redis_url is not None and not isinstance(redis_url, str):
            redis_url, connection = None, redis_url
        if (redis_url is None) == (connection is None):
            raise ValueError(
                "Outbox needs either a redis_url or a connection: give exactly one of them, "
                "or let Outbox.from_env() read RQ_SES_REDIS_URL and its siblings"
            )
        try:
            self.queue = contract.checked_queue(queue)
        except ValueError as exc:
            raise ValueError(f"queue: {exc}") from exc
        checked_wait("enqueue_timeout", enqueue_timeout)
        checked_wait("durable_timeout", durable_timeout, MOST_WAIT)
        # Trying again is ours, bounded by enqueue_timeout: redis-py's own retries would multiply it.
        durable = durable_timeout * (2 if durable_replicas else 1)
        quick, patience = min(_CONNECT_TIMEOUT, enqueue_timeout), min(_SOCKET_TIMEOUT, enqueue_timeout)
        self.connection, patient = (
            own_client(connection, socket_timeout=seconds, connect_timeout=quick)
            if connection is not None
            else connect(str(redis_url), socket_timeout=seconds, connect_timeout=quick)
            for seconds in (patience, patience + durable)
        )
        self._insistence = Insistence(self.connection, enqueue_timeout)
        self._beyond = durable
        lua = contract.LUA_CONSTANTS + files("rq_ses.outbox").joinpath("enqueue.lua").read_text("utf-8")
        self._script = self.connection.register_script(lua)
        self._told = False
        self._durability = Durability(
            patient, patient.register_script(lua), replicas=durable_replicas, timeout=durable_timeout
        )
        names = contract.queue_names(queue)
        places = ((contract.queue_key(name), contract.registry_key("scheduled", name)) for name in names)
        self._keys = (contract.QUEUES_KEY, *chain.from_iterable(places))
        self._queues = tuple(part for name in names for part in (name, contract.wake_channel(name)))
        least = math.ceil(enqueue_timeout) + 60
        given = checked_ttl("result_ttl", result_ttl), checked_ttl("failure_ttl", failure_ttl)
        ttls = [ttl if ttl < 0 else max(ttl, least) for ttl in given]
        self._job_fields = (contract.JOB_TIMEOUT, *ttls)

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
        return cls(**load_producer_settings(config=config, **overrides).model_dump())

    def send(
        self,
        message: Message,
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
            at: aware datetime before which it is not sent.
            delay: seconds (or a timedelta) for which it is not sent; by the server's clock.
            expires: aware datetime, or seconds from now, after which it is failed rather than sent; by the
                server's clock, too.
            on_unknown: what becomes of it when SES may have accepted it: "resend" or "hold"; by default what
                the worker's settings say.
            priority: "high" is claimed before "normal", that before "bulk"; see docs/rate.md.
            durable: return only when the server's disk, and `durable_replicas`, have it (docs/redis.md).
            on_conflict: what to do if `key` stands for another message: "raise", or "keep" that one and
                return its Receipt with `conflict=True`; this message is not sent then.

        Raises:
            IdempotencyConflict: `key` stands for another message.
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses, which says why.
            DurabilityUnconfirmed: with `durable`: it is enqueued, but not confirmed within `durable_timeout`;
                or, without a receipt, the server can't confirm anything and nothing was enqueued.
            ValueError: an argument is unusable; nothing was enqueued.
        """
        keep = keeps(on_conflict)
        wait = Wait(durable)
        entry = self._entry(Submission(message, key, at, delay, expires, on_unknown, priority))
        receipt = receipt_of(entry, self._enqueue([entry], wait=wait, strict=not keep)[0], keep=keep)
        wait.end([receipt])
        return receipt

    def send_many(
        self,
        messages: Iterable[Message | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Receipt]:
        """Enqueue messages in batches, each batch one atomic step, and return their Receipts in order.

        Each error has the Receipts of the batches before it in `receipts`: those messages are enqueued.

        Raises:
            IdempotencyConflict: a key stands for another message; of its batch nothing is enqueued.
            OutboxUnavailable: Redis didn't answer in time; `job_ids` are those of the batch in doubt.
            DurabilityUnconfirmed: with `durable`: all are enqueued, but a batch was not confirmed in time.
            SendManyInterrupted: `messages` itself raised (`__cause__`); of its batch nothing is enqueued.
            UnusableMessage: an element is no message, or its terms can't be used; likewise, and a ValueError.
        """
        keep = keeps(on_conflict)
        receipts: list[Receipt] = []
        wait = Wait(durable)
        try:
            for batch, words in self._enqueued(self._entries(messages), wait, strict=not keep):
                found = [receipt_of(entry, word, keep=keep) for entry, word in zip(batch, words, strict=True)]
                receipts += found
        except RqSesError as exc:
            exc.receipts = tuple(receipts)
            wait.tell(exc)
            raise
        wait.end(receipts)
        return receipts

    def try_send_many(
        self,
        messages: Iterable[Message | Submission],
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
        keep = keeps(on_conflict)
        wait = Wait(durable)
        results: list[Result] = []
        places: list[int] = []
        done = 0

        def usable() -> Iterator[Entry]:
            for message in drawn(messages):
                try:
                    entry = self._entry(message)
                except ValueError as exc:
                    results.append(exc)
                except TypeError as exc:
                    raise UnusableMessage(str(exc)) from exc
                else:
                    places.append(len(results))
                    results.append(Receipt(entry.job_id))
                    yield entry

        try:
            for batch, words in self._enqueued(usable(), wait, strict=False):
                for entry, word in zip(batch, words, strict=True):
                    try:
                        results[places[done]] = receipt_of(entry, word, keep=keep)
                    except IdempotencyConflict as exc:
                        results[places[done]] = exc
                    done += 1
            wait.end(receipts_of(results))
        except RqSesError as exc:
            exc.results = tuple(results[: places[done]] if done < len(places) else results)
            exc.receipts = tuple(receipts_of(exc.results))
            wait.tell(exc)
            raise
        return results

    def server_time(self) -> float:
        """Return the server's time (epoch seconds), by which terms are reckoned; asked once a minute at most.

        Raises:
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`.
        """
        return self._insistence.now()

    def _entries(self, messages: Iterable[Message | Submission]) -> Iterator[Entry]:
        for message in drawn(messages):
            try:
                entry = self._entry(message)
            except (ValueError, TypeError) as exc:
                raise UnusableMessage(str(exc)) from exc
            yield entry

    def _entry(self, item: Message | Submission) -> Entry:
        return make_entry(item, self.queue, self.server_time)

    def _enqueued(
        self, entries: Iterable[Entry], wait: Wait, *, strict: bool
    ) -> Iterator[tuple[list[Entry], list[str]]]:
        made = batches(entries, most=BATCH_MESSAGES, most_bytes=BATCH_BYTES)
        return in_turn(partial(self._enqueue, wait=wait, strict=strict), made, full=BATCH_MESSAGES)

    def _enqueue(self, batch: Sequence[Entry], *, wait: Wait, strict: bool) -> list[str]:
        args: list[Any] = [contract.JOB_PREFIX, "strict" if strict else ""]
        args += (contract.KEY_FIELD, contract.RECIPIENTS_FIELD, utcformat(datetime.now(UTC)))
        args += (*self._job_fields, *self._queues)
        for entry in batch:
            args += entry.fields
        beyond = self._beyond if wait.wanted else 0.0
        large = sum(entry.size for entry in batch) > _LARGE
        call = partial(self._call, args, wait, large=large)
        words = self._insistence.call(call, [entry.job_id for entry in batch], beyond=beyond)
        return [word.decode() if isinstance(word, bytes) else word for word in words]

    def _call(self, args: list[Any], wait: Wait, *, large: bool) -> list[Any]:
        if large and not self._told:
            # Else all of it would be written twice: the server reads it before it says that it has no script.
            self.connection.script_load(self._script.script)
        words = self._run(args, wait)
        self._told = True
        return words

    def _run(self, args: list[Any], wait: Wait) -> list[Any]:
        if not wait.wanted:
            return list(self._script(keys=self._keys, args=args))
        self._durability.check()
        words, wait.doubt = self._durability.call(self._keys, args)
        return words
