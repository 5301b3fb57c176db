"""Reads how queues, workers and accounts stand, in three round trips and without changing anything.

RQ's registries clean up, and may retry jobs, when they are merely counted; so keys are read as they are.
Anybody may have written them: a key of another type, or a value that isn't what it should be, is unknown.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses import contract
from rq_ses.gate import GateState, read_gate
from rq_ses.keys import Keys, keys_of
from rq_ses.partition import MOVING
from rq_ses.server.connection import borrowed
from rq_ses.server.refusal import is_scattered, read_refusal
from rq_ses.server.serverclock import epoch
from rq_ses.server.stored import line
from rq_ses.states import CANCELED, FAILED, SCHEDULED, STARTED, WIP
from rq_ses.status.campaigns import FIELDS, CampaignState, campaign_state, named
from rq_ses.status.snapshot import CurrentMail, QueueState, Snapshot, Untold, WorkerState
from rq_ses.status.unserved import Unserved, unserved
from rq_ses.status.workers import (
    MOST_WORKERS,
    NAME_LIMIT,
    WORKER_FIELDS,
    epoch_of,
    worker_state,
)
from rq_ses.text.plaintext import one_line

FRONT: Final = 16
"""Mails at the front of a queue whose age is looked at: retries stand there, before older ones."""

LEASES: Final = 2000
"""Mails of a queue that are looked at as being sent."""

ACCOUNTS: Final = 10


def read_snapshot(
    connection: Redis,
    queues: Sequence[str],
    *,
    account: tuple[str, str] | None = None,
    mails: int = 10,
    workers: bool = True,
    gates: Redis | None = None,
) -> Snapshot:
    """Return how everything stands.

    Args:
        connection: a client; one that rq_ses.server didn't make is not used itself, but its address.
        queues: their names, the most urgent first.
        account: name and region of the gate to read beside those that workers name.
        mails: how many of the mails that are being sent to describe.
        workers: whether to look at workers, and at what they hold.
        gates: a client of ours under whose keys the gates stand; None: under those of `connection`.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses everything.
    """
    with borrowed(connection) as client:
        return _snapshot(client, gates or client, queues, account, mails, workers=workers)


def _snapshot(
    client: Any,
    at_gates: Redis,
    queues: Sequence[str],
    account: tuple[str, str] | None,
    mails: int,
    *,
    workers: bool,
) -> Snapshot:
    overview = _overview(client, queues, workers=workers)
    details = _details(client, overview)
    now, refused = overview.now, overview.refused
    states = map(_queue, queues, overview.queues, details.enqueued, repeat(now))
    current = list(_current(queues, overview.leases, details.started, now))
    current.sort(key=lambda mail: mail.seconds or 0.0, reverse=True)
    held_by = Counter(mail.worker for mail in current)
    at_gate: dict[str, RedisError] = {}
    apart = keys_of(at_gates).prefix if at_gates is not client else ""
    keys, told = keys_of(client), zip(overview.workers, details.workers, strict=True)
    found = [worker_state(keys, key, answer, held_by, now) for key, answer in told]
    ours = tuple(worker for worker in found if worker and set(worker.queues) & set(queues))
    return Snapshot(
        now=now,
        suspended=overview.suspended,
        moving=overview.moving,
        queues=tuple(states),
        workers=ours,
        other_workers=sum(worker is not None for worker in found) - len(ours),
        gates=_gates(at_gates, account, ours, at_gate, apart=bool(apart)),
        mails=_described(client, current[:mails]),
        unserved=_unserved(client, refused) if workers else (),
        campaigns=tuple(filter(None, details.campaigns)),
        served=tuple(sorted({f"{w.account}:{w.region}" for w in found if w and w.account})),
        refused=(
            *(untold_of(what, exc) for what, exc in refused.items()),
            *(untold_of(what, exc, apart) for what, exc in at_gate.items()),
        ),
    )


class _QueueAnswers(NamedTuple):
    """What Redis told of one queue; each may be an error, or something else than it should be."""

    queued: Any
    started: Any
    scheduled: Any
    failed: Any
    canceled: Any
    front: Any
    """Ids of the mails at its front."""
    first: Any
    """The scheduled mail that is due first, with its score."""
    leases: Any
    """`JOB:EXECUTION` of the mails that are being sent."""


_PER_QUEUE: Final = len(_QueueAnswers._fields)


@dataclass(frozen=True, slots=True)
class _Overview:
    """The first round trip: queues, and the names of what is to be asked next."""

    now: float
    suspended: bool
    moving: bool
    queues: Sequence[_QueueAnswers]
    fronts: Sequence[Sequence[bytes]]
    leases: Sequence[Sequence[bytes]]
    workers: Sequence[bytes]
    campaigns: Sequence[bytes]
    refused: dict[str, RedisError]


def _overview(client: Any, queues: Sequence[str], *, workers: bool) -> _Overview:
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time().exists(keys.suspended).get(keys.suspended).smembers(keys.workers)
        pipeline.smembers(keys.campaigns)
        for queue in queues:
            _ask_about_queue(pipeline, keys, queue)
        clock, suspended, by, names, campaigns, *about_queues = pipeline.execute(raise_on_error=False)
    if isinstance(clock, Exception):
        raise clock
    parts = [
        _QueueAnswers(*about_queues[at : at + _PER_QUEUE]) for at in range(0, len(about_queues), _PER_QUEUE)
    ]
    return _Overview(
        epoch(clock),
        suspended == 1,
        by == MOVING.encode(),
        parts,
        fronts=[_listed(part.front) for part in parts],
        leases=[_listed(part.leases) if workers else [] for part in parts],
        workers=sorted(names)[:MOST_WORKERS] if workers and isinstance(names, set) else [],
        campaigns=named(campaigns),
        refused=_refused(suspended, names, about_queues, queues),
    )


def _ask_about_queue(pipeline: Any, keys: Keys, queue: str) -> None:
    """Ask what _QueueAnswers has, in its order."""
    pipeline.llen(keys.queue(queue))
    for kind in (WIP, SCHEDULED, FAILED, CANCELED):
        pipeline.zcard(keys.registry(kind, queue))
    pipeline.lrange(keys.queue(queue), 0, FRONT - 1)
    pipeline.zrange(keys.registry(SCHEDULED, queue), 0, 0, withscores=True)
    pipeline.zrange(keys.leases(queue), 0, LEASES - 1)


_STARTED_FIELDS: Final = ("status", contract.EXECUTION_FIELD, "worker_name", "started_at")


@dataclass(frozen=True, slots=True)
class _Details:
    """The second round trip: of each name in the first one, its answer in the same place."""

    enqueued: Sequence[Sequence[Any]]
    started: Sequence[Sequence[Any]]
    workers: Sequence[Any]
    campaigns: Sequence[CampaignState | None]


def _details(client: Any, overview: _Overview) -> _Details:
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        for job_id in chain.from_iterable(overview.fronts):
            pipeline.hget(keys.job(job_id), "enqueued_at")
        for member in chain.from_iterable(overview.leases):
            job = keys.job(member.partition(b":")[0])
            pipeline.hmget(job, *_STARTED_FIELDS)
        for key in overview.workers:
            pipeline.hmget(key, *WORKER_FIELDS)
        for name in overview.campaigns:
            pipeline.hmget(keys.campaign(name.decode("utf-8", "replace")), *FIELDS)
        answers = iter(pipeline.execute(raise_on_error=False))
    return _Details(
        [list(islice(answers, len(front))) for front in overview.fronts],
        [list(islice(answers, len(held))) for held in overview.leases],
        list(islice(answers, len(overview.workers))),
        list(map(campaign_state, overview.campaigns, answers)),
    )


def _refused(
    suspended: Any, workers: Any, about_queues: Sequence[Any], queues: Sequence[str]
) -> dict[str, RedisError]:
    """Return what Redis refused to tell, with the first refusal of each.

    Raises RedisError: it refused all of it, or that won't change before the prefix does.
    """
    answers = [("whether workers are suspended", suspended), ("workers", workers)]
    answers += [(f"queue {queues[at // _PER_QUEUE]}", answer) for at, answer in enumerate(about_queues)]
    refused: dict[str, RedisError] = {}
    for what, answer in answers:
        if isinstance(answer, RedisError):
            refused.setdefault(what, answer)
    for _, answer in answers:
        if isinstance(answer, RedisError) and (len(refused) == len(queues) + 2 or is_scattered(answer)):
            raise answer
    return refused


def untold_of(what: str, exc: RedisError, partition: str = "") -> Untold:
    """Return what an error of Redis leaves untold, in its words."""
    refusal = read_refusal(exc)
    return Untold(what, refusal.reason, refusal.remedy, partition)


def _queue(name: str, answers: _QueueAnswers, enqueued: Sequence[Any], now: float) -> QueueState:
    ages = [now - moment for moment in map(epoch_of, enqueued) if moment is not None]
    oldest = 0.0 if answers.queued == 0 else max(0.0, *ages) if ages else None
    first = answers.first
    due = first[0][1] - now if isinstance(first, list) and first else None
    return QueueState(
        name,
        queued=_count(answers.queued),
        started=_count(answers.started),
        scheduled=_count(answers.scheduled),
        failed=_count(answers.failed),
        oldest=oldest,
        next_due=max(0.0, due) if due is not None and math.isfinite(due) else None,
        canceled=_count(answers.canceled),
    )


def _count(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _current(
    queues: Sequence[str],
    leases: Sequence[Sequence[bytes]],
    started: Sequence[Sequence[Any]],
    now: float,
) -> Iterator[CurrentMail]:
    """Yield the mails that are being sent."""
    for queue, members, answers in zip(queues, leases, started, strict=True):
        for member, answer in zip(members, answers, strict=True):
            status, named, worker, since = answer if isinstance(answer, list) else (None,) * 4
            job, _, execution = member.partition(b":")
            # Workers of earlier builds don't name the execution; a canceled mail is being sent all the same.
            if status != STARTED.encode() and named != execution:
                continue  # settled since we saw its lease
            claimed = epoch_of(since)
            seconds = None if claimed is None else max(0.0, now - claimed)
            job_id = job.decode("utf-8", "replace")
            yield CurrentMail(job_id, queue, line(worker, NAME_LIMIT), "", seconds)


def _described(client: Any, mails: Sequence[CurrentMail]) -> tuple[CurrentMail, ...]:
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        for mail in mails:
            pipeline.hget(keys.job(mail.job_id), "description")
        answers = pipeline.execute(raise_on_error=False) if mails else []
    return tuple(
        CurrentMail(
            one_line(mail.job_id, NAME_LIMIT),
            mail.queue,
            mail.worker,
            line(description, 2 * contract.DESCRIPTION_LIMIT),
            mail.seconds,
        )
        for mail, description in zip(mails, answers, strict=True)
    )


def _gates(
    client: Any,
    account: tuple[str, str] | None,
    workers: Sequence[WorkerState],
    refused: dict[str, RedisError],
    *,
    apart: bool,
) -> tuple[GateState, ...]:
    """Return the gate that was asked for, and those that workers name; `apart`: their server is another."""
    asked = [account] if account else []
    asked += [(worker.account, worker.region) for worker in workers if worker.account]
    found = []
    for name, region in islice(dict.fromkeys(asked), ACCOUNTS):
        try:
            found.append(read_gate(client, name, region))
        except RedisError as exc:
            is_away = not isinstance(exc, ResponseError)
            if is_away and not apart:
                raise
            refused[f"account {name} in {region}"] = exc
            if is_away:
                break  # each of the others would wait as long
    return tuple(found)


def _unserved(connection: Redis, refused: dict[str, RedisError]) -> tuple[Unserved, ...]:
    try:
        return unserved(connection)
    except ResponseError as exc:
        refused["the names of all queues"] = exc
        return ()


def _listed(answer: Any) -> list[bytes]:
    return [item for item in answer if isinstance(item, bytes)] if isinstance(answer, list) else []
