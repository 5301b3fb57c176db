"""The producer's side: put messages into the queue, once each, or say that it could not be done."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from itertools import chain
from typing import Any, NamedTuple

from redis import Redis
from redis import exceptions as redis_errors
from rq.utils import utcformat

from rq_ses import contract
from rq_ses.batching import batches, in_turn
from rq_ses.durability import Durability
from rq_ses.errors import DurabilityUnconfirmed, IdempotencyConflict, OutboxUnavailable
from rq_ses.message import Message
from rq_ses.plaintext import one_line
from rq_ses.server import connect
from rq_ses.settings import load_producer_settings
from rq_ses.submission import OnUnknown, Priority, Seconds, Submission, checked_key

BATCH_MESSAGES = 500
BATCH_BYTES = 4 * 1024 * 1024
_RETRIED = (redis_errors.ConnectionError, redis_errors.TimeoutError, redis_errors.ReadOnlyError)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `send` returns: the job that carries the mail, and whether it was there before."""

    job_id: str
    duplicate: bool = False


class _Entry(NamedTuple):
    job_id: str
    key: str | None
    fields: tuple[str | bytes, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.fields))


class _Wait:
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


class Outbox:
    """Enqueue messages for the workers of one queue, or rather of its priorities' three (docs/redis.md).

    A message is durable once the call has returned, as far as the server's appendfsync promises. Threads may
    share an Outbox; after a fork the connection pool renews itself.

    Args:
        redis_url: URL of the server, or of its Sentinels (see rq_ses.server).
        queue: name of the RQ queue of normal mails; QUEUE-high and QUEUE-bulk hold those of other priority.
        connection: a redis-py client to use in place of `redis_url`.
        result_ttl: seconds for which the receipt of a sent mail is kept (-1: for ever); at least a minute
            more than `enqueue_timeout`, so that a call whose answer was lost finds what it has done.
        failure_ttl: seconds for which a failed mail is kept (-1: for ever).
        enqueue_timeout: seconds for which a call tries again while Redis is away; one that hangs may add the
            time-out of a socket: as much again, at most 5 s.
        durable_replicas: replicas that must hold what a durable call has written; 0 waits for the disk alone.
        durable_timeout: seconds a durable call waits for either; of a `connection` with a shorter socket
            time-out, as long as that allows.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        queue: str = contract.DEFAULT_QUEUE,
        *,
        connection: Redis | None = None,
        result_ttl: int = contract.RESULT_TTL,
        failure_ttl: int = contract.FAILURE_TTL,
        enqueue_timeout: float = 10.0,
        durable_replicas: int = 0,
        durable_timeout: float = 5.0,
    ) -> None:
        if isinstance(redis_url, Redis):
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
        if connection is None:
            # Trying again is ours, bounded by enqueue_timeout: redis-py's own retries would multiply it.
            url, quick = str(redis_url), min(_CONNECT_TIMEOUT, enqueue_timeout)
            connection = connect(
                url, socket_timeout=min(_SOCKET_TIMEOUT, enqueue_timeout), connect_timeout=quick
            )
            patient = connect(url, socket_timeout=2 * durable_timeout, connect_timeout=quick)
        else:
            patient = connection
        self.connection: Redis = connection
        self._timeout = enqueue_timeout
        lua = files("rq_ses").joinpath("enqueue.lua").read_text("utf-8")
        self._script = connection.register_script(lua)
        self._durability = Durability(
            patient, patient.register_script(lua), replicas=durable_replicas, timeout=durable_timeout
        )
        names = contract.queue_names(queue)
        places = ((contract.queue_key(name), contract.registry_key("scheduled", name)) for name in names)
        self._keys = (contract.QUEUES_KEY, *chain.from_iterable(places))
        self._queues = tuple(part for name in names for part in (name, contract.wake_channel(name)))
        least = math.ceil(enqueue_timeout) + 60
        ttls = [ttl if ttl < 0 else max(ttl, least) for ttl in (result_ttl, failure_ttl)]
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
    ) -> Receipt:
        """Enqueue one message and return its Receipt.

        Args:
            message: what to send.
            key: idempotency key; the same key and message give the first Receipt again with
                `duplicate=True`: while the mail waits, while it is failed, at least 24 h after it was sent.
                The first call's terms stand, whatever the other arguments say later.
            at: aware datetime before which it is not sent.
            delay: seconds (or a timedelta) for which it is not sent; by the server's clock.
            expires: aware datetime, or seconds from now, after which it is failed rather than sent.
            on_unknown: what becomes of it when SES may have accepted it: "resend" or "hold"; by default what
                the worker's settings say.
            priority: "high" is claimed before "normal", that before "bulk"; see docs/rate.md.
            durable: return only when the server's disk, and `durable_replicas`, have it (docs/redis.md).

        Raises:
            IdempotencyConflict: `key` stands for another message.
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`.
            DurabilityUnconfirmed: with `durable`: it is enqueued, but not confirmed within `durable_timeout`;
                or, without a receipt, the server can't confirm anything and nothing was enqueued.
            ValueError: an argument is unusable; nothing was enqueued.
        """
        submission = Submission(message, key, at, delay, expires, on_unknown, priority)
        return self.send_many([submission], durable=durable)[0]

    def send_many(self, messages: Iterable[Message | Submission], *, durable: bool = False) -> list[Receipt]:
        """Enqueue messages in batches, each batch one atomic step, and return their Receipts in order.

        Raises:
            IdempotencyConflict: a key stands for another message; of its batch nothing is enqueued.
            OutboxUnavailable: Redis didn't answer in time; `job_ids` are those of the batch in doubt.
            DurabilityUnconfirmed: with `durable`: all are enqueued, but a batch was not confirmed in time.
            ValueError: an argument is unusable; of its batch nothing is enqueued.
        """
        receipts: list[Receipt] = []
        wait = _Wait(durable)
        entries = (self._entry(message) for message in messages)
        for batch, words in self._enqueued(entries, wait, strict=True):
            for entry, word in zip(batch, words, strict=True):
                if word == "conflict":
                    raise IdempotencyConflict(entry.key or "", entry.job_id)
                receipts.append(Receipt(entry.job_id, duplicate=word == "duplicate"))
        wait.end(receipts)
        return receipts

    def try_send_many(
        self, messages: Iterable[Message | Submission], *, durable: bool = False
    ) -> list[Receipt | IdempotencyConflict | ValueError]:
        """Enqueue what can be, and let the error of what can't stand in the place of its Receipt.

        Raises:
            OutboxUnavailable: as `send_many` does.
            DurabilityUnconfirmed: as `send_many` does, with the receipts of what is enqueued.
        """
        wait = _Wait(durable)
        results: list[Receipt | IdempotencyConflict | ValueError] = []
        places: list[int] = []

        def usable() -> Iterator[_Entry]:
            for message in messages:
                try:
                    entry = self._entry(message)
                except ValueError as exc:
                    results.append(exc)
                else:
                    places.append(len(results))
                    results.append(Receipt(entry.job_id))
                    yield entry

        place = iter(places)
        for batch, words in self._enqueued(usable(), wait, strict=False):
            for entry, word in zip(batch, words, strict=True):
                at = next(place)
                if word == "conflict":
                    results[at] = IdempotencyConflict(entry.key or "", entry.job_id)
                elif word == "duplicate":
                    results[at] = Receipt(entry.job_id, duplicate=True)
        wait.end([result for result in results if isinstance(result, Receipt)])
        return results

    def _entry(self, item: Message | Submission) -> _Entry:
        submission = item if isinstance(item, Submission) else Submission(item)
        message, key = submission.message, submission.key
        if not isinstance(message, Message):
            raise TypeError(f"message must be a rq_ses.Message, not {type(message).__name__}")
        payload = message.to_payload()
        # The id is made before anything is written, so that trying again can't enqueue a second time.
        if key is None:
            job_id, mark = contract.new_job_id(), ""
        else:
            job_id = contract.keyed_job_id(self.queue, checked_key(key))
            mark = f"{contract.digest(payload)}:{os.urandom(8).hex()}"
        data = contract.encode_job(payload, submission.options())
        recipients = message.recipients
        description = contract.description(recipients, message.subject)
        weight = str(len(recipients)) if len(recipients) > 1 else ""
        place = str(submission.place() + 1)
        return _Entry(job_id, key, (place, job_id, data, description, submission.due(), mark, weight))

    def _enqueued(
        self, entries: Iterable[_Entry], wait: _Wait, *, strict: bool
    ) -> Iterator[tuple[list[_Entry], list[str]]]:
        made = batches(entries, most=BATCH_MESSAGES, most_bytes=BATCH_BYTES)
        return in_turn(partial(self._enqueue, wait=wait, strict=strict), made, full=BATCH_MESSAGES)

    def _enqueue(self, batch: Sequence[_Entry], *, wait: _Wait, strict: bool) -> list[str]:
        args: list[Any] = [contract.JOB_PREFIX, "strict" if strict else ""]
        args += (contract.KEY_FIELD, contract.RECIPIENTS_FIELD, utcformat(datetime.now(UTC)))
        args += (*self._job_fields, *self._queues)
        for entry in batch:
            args += entry.fields
        words = self._insist(args, wait, [entry.job_id for entry in batch])
        return [word.decode() if isinstance(word, bytes) else word for word in words]

    def _insist(self, args: list[Any], wait: _Wait, job_ids: list[str]) -> list[Any]:
        started = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._call(args, wait)
            except redis_errors.AuthenticationError as exc:
                raise OutboxUnavailable(job_ids, time.monotonic() - started, _reason(exc)) from exc
            except _RETRIED as exc:
                waited = time.monotonic() - started
                if waited + pause > self._timeout:
                    raise OutboxUnavailable(job_ids, waited, _reason(exc)) from exc
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except redis_errors.RedisError as exc:
                raise OutboxUnavailable(job_ids, time.monotonic() - started, _reason(exc)) from exc

    def _call(self, args: list[Any], wait: _Wait) -> list[Any]:
        try:
            if not wait.wanted:
                return list(self._script(keys=self._keys, args=args))
            self._durability.check()
            words, wait.doubt = self._durability.call(self._keys, args)
        except redis_errors.ResponseError as exc:
            if not str(exc).startswith("NOREPLICAS"):
                raise
            # min-replicas-to-write: so a primary refuses that is just being replaced.
            raise redis_errors.ConnectionError(str(exc)) from exc
        return words


def _reason(exc: Exception) -> str:
    return one_line(f"{type(exc).__name__}: {exc}", 200)
