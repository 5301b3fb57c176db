"""Finds one mail in Redis: its hash, its newest result, and the places it stands in, read in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from redis import Redis

from rq_ses import contract, states
from rq_ses.contract import PRIORITIES, Priority
from rq_ses.deadletter.reading.payload import is_ours
from rq_ses.deadletter.reading.reader import raw_id
from rq_ses.errors import RqSesError
from rq_ses.keys import Keys
from rq_ses.mails.asking import Asked, Asks
from rq_ses.outbox.threads import Threads
from rq_ses.plan import Plan
from rq_ses.server.jobdata import DATA_LIMIT
from rq_ses.server.script import Source
from rq_ses.server.serverclock import epoch
from rq_ses.text.plaintext import one_line

_FIELDS: Final = (
    *("status", "origin", "created_at", "enqueued_at", "started_at", "ended_at", "description"),
    *("meta", "exc_info", "worker_name", contract.KEY_FIELD, contract.EXECUTION_FIELD),
    *(contract.CAMPAIGN_FIELD, contract.RECIPIENTS_FIELD),
)
"""Of the job's hash; `data` is read by itself, as it may be large."""

_LOOK: Final = Source("mails/typed", "mails/plans/look")

_REGISTRIES: Final = (states.SCHEDULED, *states.SETTLED, states.DEFERRED)
"""Where it is looked for; that a job is started is told by its lease."""


class MailNotFound(RqSesError, LookupError):
    """Raised when a job isn't a mail of this queue and its priorities."""

    events: Mapping[bytes, bytes] = MappingProxyType({})
    """What SES has told of it all the same, as it is stored (rq_ses.mails.told)."""

    def __init__(self, job_id: str, reason: str, *, kind: str = "job") -> None:
        self.job_id = job_id
        super().__init__(f"{kind} {one_line(job_id, 100)} {reason}")

    def knowing(self, events: Mapping[bytes, bytes]) -> Self:
        """Return the error with what SES has told of the mail, which outlives it."""
        self.events = events
        return self


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands."""

    words: str
    """All its places."""
    ahead: int | None = None
    """Mails that stand before it in its queue."""
    due: float | None = None
    """When it is scheduled for (epoch seconds)."""


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One mail as it is kept, as yet unread."""

    job_id: str
    queue: str
    priority: Priority
    fields: Mapping[str, bytes]
    """Those of the job's hash that are there."""
    data: bytes
    """RQ's; empty if there is none, or more than any mail has."""
    size: int
    """Bytes of its data."""
    ttl: int | None
    """Seconds until it is forgotten; None is never."""
    standing: Standing
    result: Mapping[bytes, bytes]
    """RQ's newest result of the job."""
    now: float
    """The server's clock (epoch seconds)."""
    events: Mapping[bytes, bytes]
    """What SES has told of it."""


def find_mail(connection: Redis, queues: Sequence[str], job_id: str) -> StoredMail:
    """Return a mail of some queues over a client (see `found`)."""
    return Threads().carry_out(found(Asked.over(connection), queues, job_id))


def found(asked: Asks, queues: Sequence[str], job_id: str) -> Plan[StoredMail]:
    """Return a mail of some queues, which are named in the order of their priorities.

    Raises:
        MailNotFound: nothing is known of it, or it is none of theirs.
        redis.exceptions.RedisError: the server is away, or refuses.
    """
    clock, told, size, ttl, results, indexed, events, data, *places = yield from asked.run(
        _LOOK, _look_keys(asked.keys, queues, job_id), [raw_id(job_id), DATA_LIMIT, *_FIELDS]
    )
    fields = {name: text for name, text in zip(_FIELDS, told or (), strict=False) if text is not None}
    known = _pairs(events)
    if not fields.get("status"):
        raise MailNotFound(
            job_id,
            f"is not known in {', '.join(queues)}: it was never enqueued here, or its time to be "
            "kept is over",
        ).knowing(known)
    queue = _checked_queue(job_id, queues, fields, data)
    # A stock worker's execution stands in the job's index, one of ours in the job itself.
    begun = indexed or fields.get(contract.EXECUTION_FIELD)
    started = bool(begun) and fields["status"] == states.STARTED.encode()
    return StoredMail(
        job_id,
        queue,
        PRIORITIES[queues.index(queue)],
        fields=fields,
        data=data,
        size=size,
        ttl=ttl if ttl >= 0 else None,
        standing=_standing(queues, places, leased=started),
        result=_pairs(results[0][1]) if results else {},
        now=epoch(clock),
        events=known,
    )


def _look_keys(keys: Keys, queues: Sequence[str], job_id: str) -> list[Any]:
    name = raw_id(job_id)
    found: list[Any] = [keys.scratch, keys.job(name), keys.results(name), keys.executions(name)]
    found.append(keys.events(name))
    for queue in queues:
        found += [keys.queue(queue), *(keys.registry(kind, queue) for kind in _REGISTRIES)]
    return found


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=False))


def _checked_queue(job_id: str, queues: Sequence[str], fields: Mapping[str, bytes], data: bytes) -> str:
    """Return the queue of a job that is a mail. Raises MailNotFound."""
    queue = fields.get("origin", b"").decode("utf-8", "replace")
    if queue not in queues:
        raise MailNotFound(job_id, f"is of queue {one_line(queue, 100)}: name it by --queue")
    # A receipt has no payload any more, but its place is ours.
    if data and not is_ours(data) and fields["status"] != states.FINISHED.encode():
        raise MailNotFound(job_id, "is no mail: it calls another function")
    return queue


def _standing(queues: Sequence[str], places: Sequence[Any], *, leased: bool) -> Standing:
    """Return where a job stands by its position and its scores in each queue."""
    words: list[str] = []
    ahead: int | None = None
    due: float | None = None
    answers = iter(places)
    for queue in queues:
        position = next(answers)
        if position is not None:
            ahead = position
            before = f"{position:,} ahead of it" if position else "at its front"
            words.append(f"in queue {queue}, {before}")
        for kind in _REGISTRIES:
            score = next(answers)
            if score is not None:
                words.append(f"in the {kind} registry")
                due = float(score) if kind == states.SCHEDULED else due
    if leased:
        words.append("with a worker, under a lease")
    return Standing(", ".join(words) or "nowhere (rq-ses audit)", ahead, due)
