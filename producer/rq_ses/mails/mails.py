"""Finds one mail of a queue, by job id or key, and cancels it while it waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq.utils import utcformat

from rq_ses import contract
from rq_ses.contract import PRIORITIES
from rq_ses.deadletter.reading.payload import is_ours
from rq_ses.deadletter.reading.reader import RESULTS_PREFIX, job_key, raw_id
from rq_ses.errors import RqSesError
from rq_ses.mails.mail import FIELDS, Mail, read_mail
from rq_ses.outbox.submission import checked_key
from rq_ses.server.connection import connect, own_client
from rq_ses.server.jobdata import DATA_LIMIT
from rq_ses.server.serverclock import epoch
from rq_ses.text.plaintext import one_line

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 10.0, 5.0
_REGISTRIES: Final = ("scheduled", "finished", "failed", "canceled", "deferred")
_WAITING: Final = ("queued", "scheduled")


class MailNotFound(RqSesError, LookupError):
    """Raised when a job isn't a mail of this queue and its priorities."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {one_line(job_id, 100)} {reason}")


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of a wish to cancel a mail."""

    job_id: str
    canceled: bool
    """It was waiting, and nobody will send it; its key is free."""
    before: Mail
    """As it stood a moment before."""

    @property
    def reason(self) -> str:
        """Return in a sentence what became of it."""
        return _reason(self)


class Mails:
    """The mails of a queue and its priorities, whatever their states.

    Every method raises redis.exceptions.RedisError when the server is away. Threads may share an object.

    Args:
        redis_url: URL of the server, or of its Sentinels (see rq_ses.server.connection).
        connection: a redis-py client to use in place of `redis_url`; its address is used, and not itself.
        queue: the queue's name, as the Outbox has it.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        *,
        connection: Redis | None = None,
        queue: str = contract.DEFAULT_QUEUE,
    ) -> None:
        if redis_url is not None and not isinstance(redis_url, str):
            redis_url, connection = None, redis_url
        if (redis_url is None) == (connection is None):
            raise ValueError("Mails needs either a redis_url or a connection: give exactly one of them")
        waits = {"socket_timeout": _SOCKET_TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT}
        self.connection: Any = connect(redis_url, **waits) if redis_url else own_client(connection, **waits)  # type: ignore[arg-type]
        self.queue = contract.checked_queue(queue)
        self._queues = contract.queue_names(queue)
        self._cancel = self.connection.register_script(
            files("rq_ses.mails").joinpath("cancel.lua").read_text("utf-8")
        )

    def show(self, job_id: str | None = None, *, key: str | None = None) -> Mail:
        """Return how one mail stands, named by its job id or by its idempotency key.

        Raises:
            MailNotFound: nothing is known of it: it was never enqueued here, or is forgotten by now.
        """
        return self._read(self.named(job_id, key))

    def cancel(self, job_id: str | None = None, *, key: str | None = None) -> Cancellation:
        """Take one mail out of its queue, if it waits there; say what it is if it doesn't.

        A mail that is canceled is kept for a day as `canceled`, and its key is free at once. One that is
        being sent can't be called back.

        Raises:
            MailNotFound: nothing is known of it.
        """
        name = self.named(job_id, key)
        before = self._read(name)
        keys: list[str | bytes] = [job_key(name), contract.registry_key("canceled", before.queue)]
        for queue in self._queues:
            keys += [contract.queue_key(queue), contract.registry_key("scheduled", queue)]
        args = [raw_id(name), utcformat(datetime.now(UTC)), contract.CANCELED_TTL]
        canceled, status = self._cancel(keys=keys, args=args)
        if not canceled and status.decode("utf-8", "replace") != before.status:
            before = self._read(name)  # it has moved in between
        return Cancellation(before.job_id, bool(canceled), before)

    def named(self, job_id: str | None, key: str | None) -> str:
        """Return the id of a job that is named by id or by key.

        Raises:
            ValueError: both were given, or neither; or it can be nobody's.
        """
        if (job_id is None) == (key is None):
            raise ValueError("name the mail by its job id or by its key: give exactly one of them")
        if key is not None:
            return contract.keyed_job_id(self.queue, checked_key(key))
        if not isinstance(job_id, str):
            raise ValueError(f"job_id: {job_id!r:.80} can't be used: give the text that send returned")  # noqa: TRY004
        return job_id

    def _read(self, job_id: str) -> Mail:
        job, name = job_key(job_id), raw_id(job_id)
        with self.connection.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.hmget(job, *FIELDS)
            pipeline.hstrlen(job, "data")
            pipeline.ttl(job)
            pipeline.xrevrange(RESULTS_PREFIX.encode() + name, count=1)
            pipeline.exists(contract.EXECUTIONS_PREFIX.encode() + name)
            for queue in self._queues:
                pipeline.lpos(contract.queue_key(queue), name)
                for kind in _REGISTRIES:
                    pipeline.zscore(contract.registry_key(kind, queue), name)
            clock, found, size, ttl, results, leased, *places = (
                _checked(answer) for answer in pipeline.execute(raise_on_error=False)
            )
        fields = {name: text for name, text in zip(FIELDS, found or (), strict=False) if text is not None}
        if not fields.get("status"):
            raise MailNotFound(
                job_id,
                f"is not known in {', '.join(self._queues)}: it was never enqueued here, or its time to be "
                "kept is over",
            )
        data = self._data(job, size or 0)
        queue = fields.get("origin", b"").decode("utf-8", "replace")
        if queue not in self._queues:
            raise MailNotFound(job_id, f"is of queue {one_line(queue, 100)}: name it by --queue")
        # A receipt has no payload any more, but its place is ours.
        if data and not is_ours(data) and fields["status"] != b"finished":
            raise MailNotFound(job_id, "is no mail: it calls another function")
        width = 1 + len(_REGISTRIES)
        stands, ahead, due = _stands(
            self._queues, [places[at : at + width] for at in range(0, len(places), width)]
        )
        status = fields["status"].decode("utf-8", "replace")
        if leased and status == "started":
            stands.append("with a worker, under a lease")
        return read_mail(
            job_id,
            queue,
            PRIORITIES[self._queues.index(queue)],
            fields=fields,
            data=data,
            size=size or 0,
            ttl=ttl if isinstance(ttl, int) and ttl >= 0 else None,
            place=", ".join(stands) or "nowhere (rq-ses audit)",
            ahead=ahead,
            due=due,
            result=results[0][1] if isinstance(results, list) and results else {},
            now=epoch(clock),
        )

    def _data(self, job: bytes, size: int) -> bytes:
        if not 0 < size <= DATA_LIMIT:
            return b""
        data = self.connection.hget(job, "data")
        return data if isinstance(data, bytes) else b""


def _checked(answer: Any) -> Any:
    """Return an answer; None for a key of another type, as anybody may have made one."""
    if isinstance(answer, ResponseError) and not str(answer).startswith("NOPERM"):
        return None
    if isinstance(answer, RedisError):
        raise answer
    return answer


def _stands(queues: tuple[str, ...], places: list[list[Any]]) -> tuple[list[str], int | None, float | None]:
    """Return in words where a job stands, how many are before it in a queue, and when it is due."""
    stands: list[str] = []
    ahead: int | None = None
    due: float | None = None
    for queue, (position, *scores) in zip(queues, places, strict=True):
        if position is not None:
            ahead = position
            before = f"{position:,} ahead of it" if position else "at its front"
            stands.append(f"in queue {queue}, {before}")
        for kind, score in zip(_REGISTRIES, scores, strict=True):
            if score is not None:
                stands.append(f"in the {kind} registry")
                due = score if kind == "scheduled" else due
    return stands, ahead, due


def _reason(done: Cancellation) -> str:
    mail = done.before
    if done.canceled:
        doubt = " (SES may have accepted it in an earlier attempt)" if mail.unknown else ""
        return f"it was {mail.status}, and will not be sent{doubt}"
    return _REASONS.get(
        mail.status, f"it is {mail.status}, and only what is queued or scheduled can be canceled"
    )


_REASONS: Final[Mapping[str, str]] = {
    "started": (
        "it is being sent at this moment and can't be called back: it ends as sent, unless SES refuses it, "
        "or it is to be tried again; then it can be canceled"
    ),
    "finished": "it was sent",
    "failed": "it has failed: nothing will be sent; `rq-ses discard` deletes it",
    "stopped": "it was stopped by RQ: nothing will be sent",
    "canceled": "it was canceled before",
}
