"""Reads how queues, workers and accounts stand, in three round trips and without changing anything.

RQ's registries clean up, and may retry jobs, when they are merely counted; so keys are read as they are.
Anybody may have written them: a key of another type, or a value that isn't what it should be, is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import contract
from rq_ses.gate import GateState, read_gate
from rq_ses.server.connection import borrowed
from rq_ses.server.serverclock import epoch
from rq_ses.server.stored import date
from rq_ses.status.snapshot import CurrentMail, QueueState, Snapshot, WorkerState
from rq_ses.status.unserved import Unserved, unserved
from rq_ses.text.plaintext import one_line

FRONT: Final = 16
"""Mails at the front of a queue whose age is looked at: retries stand there, before older ones."""

LEASES: Final = 2000
"""Mails of a queue that are looked at as being sent."""

WORKERS: Final = 2000
ACCOUNTS: Final = 10

_FIELDS: Final = (
    *("hostname", "pid", "state", "queues", "birth", "death", "last_heartbeat"),
    *("successful_job_count", "failed_job_count", "rq_ses_retried", "total_working_time"),
    *("rq_ses_threads", "rq_ses_account"),
)
_NAME_LIMIT: Final = 80
_WORDS: Final = 200
_ACCOUNT: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{1,64})")


def read_snapshot(
    connection: Redis,
    queues: Sequence[str],
    *,
    account: tuple[str, str] | None = None,
    mails: int = 10,
    workers: bool = True,
) -> Snapshot:
    """Return how everything stands.

    Args:
        connection: a client; one that rq_ses.server didn't make is not used itself, but its address.
        queues: their names, the most urgent first.
        account: name and region of the gate to read beside those that workers name.
        mails: how many of the mails that are being sent to describe.
        workers: whether to look at workers, and at what they hold.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses everything.
    """
    with borrowed(connection) as client:
        return _snapshot(client, queues, account, mails, workers=workers)


def _snapshot(
    client: Any, queues: Sequence[str], account: tuple[str, str] | None, mails: int, *, workers: bool
) -> Snapshot:
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time().exists(contract.SUSPENDED_KEY).smembers(contract.WORKERS_KEY)
        for queue in queues:
            _ask_about_queue(pipeline, queue)
        clock, suspended, keys, *about_queues = pipeline.execute(raise_on_error=False)
    if isinstance(clock, Exception):
        raise clock
    now = epoch(clock)
    refused = _refused(suspended, keys, about_queues, queues)
    parts = [about_queues[at : at + _PER_QUEUE] for at in range(0, len(about_queues), _PER_QUEUE)]
    fronts = [_listed(part[5]) for part in parts]
    leases = [_listed(part[7]) for part in parts] if workers else [[] for _ in parts]
    names = sorted(keys)[:WORKERS] if workers and isinstance(keys, set) else []

    with client.pipeline(transaction=False) as pipeline:
        for job_id in (job_id for front in fronts for job_id in front):
            pipeline.hget(contract.JOB_PREFIX.encode() + job_id, "enqueued_at")
        for member in (member for held in leases for member in held):
            pipeline.hmget(contract.EXECUTION_PREFIX.encode() + member, "worker_name", "created_at")
        for key in names:
            pipeline.hmget(key, *_FIELDS)
        answers = iter(pipeline.execute(raise_on_error=False))
    states = tuple(
        _queue(queue, part, [next(answers) for _ in front], now)
        for queue, part, front in zip(queues, parts, fronts, strict=True)
    )
    held_by: dict[str, int] = {}
    current = sorted(
        _current(queues, leases, answers, held_by, now),
        key=lambda mail: mail.seconds or 0.0,
        reverse=True,
    )
    found = [_worker(key, next(answers), held_by, now) for key in names]
    ours = tuple(worker for worker in found if worker and set(worker.queues) & set(queues))
    gates = [account] if account else []
    gates += [(w.account, w.region) for w in ours if w.account and (w.account, w.region) not in gates]
    chosen = list(dict.fromkeys(gates))[:ACCOUNTS]
    return Snapshot(
        now=now,
        suspended=suspended == 1,
        queues=states,
        workers=ours,
        other_workers=sum(worker is not None for worker in found) - len(ours),
        gates=tuple(filter(None, (_gate(client, *gate, refused) for gate in chosen))),
        mails=_described(client, current[:mails]),
        unserved=_unserved(client, refused) if workers else (),
        served=tuple(sorted({f"{w.account}:{w.region}" for w in found if w and w.account})),
        refused=tuple(f"{what}: {words}" for what, words in refused.items()),
    )


_PER_QUEUE: Final = 8


def _ask_about_queue(pipeline: Any, queue: str) -> None:
    pipeline.llen(contract.queue_key(queue))
    for kind in ("wip", "scheduled", "failed", "canceled"):
        pipeline.zcard(contract.registry_key(kind, queue))
    pipeline.lrange(contract.queue_key(queue), 0, FRONT - 1)
    pipeline.zrange(contract.registry_key("scheduled", queue), 0, 0, withscores=True)
    pipeline.zrange(contract.leases_key(queue), 0, LEASES - 1)


def _refused(
    suspended: Any, workers: Any, about_queues: Sequence[Any], queues: Sequence[str]
) -> dict[str, str]:
    """Return what Redis refused to tell, with its words for the first refusal of each."""
    answers = [("whether workers are suspended", suspended), ("workers", workers)]
    answers += [(f"queue {queues[at // _PER_QUEUE]}", answer) for at, answer in enumerate(about_queues)]
    refused: dict[str, str] = {}
    for what, answer in answers:
        if isinstance(answer, Exception):
            refused.setdefault(what, one_line(str(answer), _WORDS))
    return refused


def _queue(name: str, part: Sequence[Any], enqueued: Sequence[Any], now: float) -> QueueState:
    queued, started, scheduled, failed, canceled, _, first, _ = part
    ages = [now - moment for moment in map(_moment, enqueued) if moment is not None]
    oldest = 0.0 if queued == 0 else max(0.0, *ages) if ages else None
    due = first[0][1] - now if isinstance(first, list) and first else None
    return QueueState(
        name,
        queued=_count(queued),
        started=_count(started),
        scheduled=_count(scheduled),
        failed=_count(failed),
        oldest=oldest,
        next_due=max(0.0, due) if due is not None and math.isfinite(due) else None,
        canceled=_count(canceled),
    )


def _count(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _current(
    queues: Sequence[str],
    leases: Sequence[Sequence[bytes]],
    answers: Iterator[Any],
    held_by: dict[str, int],
    now: float,
) -> Iterator[CurrentMail]:
    """Yield the mails that are being sent, and count them by worker."""
    for queue, members in zip(queues, leases, strict=True):
        for member in members:
            answer = next(answers)
            worker, since = answer if isinstance(answer, list) else (None, None)
            if worker is None and since is None:
                continue  # settled since we saw its lease
            name = _text(worker)
            held_by[name] = held_by.get(name, 0) + 1
            claimed = _number(since)
            seconds = None if claimed is None else max(0.0, now - claimed)
            yield CurrentMail(member.partition(b":")[0].decode("utf-8", "replace"), queue, name, "", seconds)


def _described(client: Any, mails: Sequence[CurrentMail]) -> tuple[CurrentMail, ...]:
    with client.pipeline(transaction=False) as pipeline:
        for mail in mails:
            pipeline.hget(contract.JOB_PREFIX + mail.job_id, "description")
        answers = pipeline.execute(raise_on_error=False) if mails else []
    return tuple(
        CurrentMail(
            one_line(mail.job_id, _NAME_LIMIT),
            mail.queue,
            mail.worker,
            _text(description, 2 * contract.DESCRIPTION_LIMIT),
            mail.seconds,
        )
        for mail, description in zip(mails, answers, strict=True)
    )


def _worker(key: bytes, answer: Any, held_by: dict[str, int], now: float) -> WorkerState | None:
    values = dict(zip(_FIELDS, answer, strict=True)) if isinstance(answer, list) else {}
    beat, born = _moment(values.get("last_heartbeat")), _moment(values.get("birth"))
    if (beat is None and born is None) or values.get("death"):
        return None  # RQ forgets it with its next maintenance
    name = _text(key.removeprefix(contract.WORKER_PREFIX.encode()))
    pid, threads = _number(values["pid"]), _number(values["rq_ses_threads"])
    state = _text(values["state"], 20)
    named = _ACCOUNT.fullmatch(_text(values["rq_ses_account"], 200))
    return WorkerState(
        name=name,
        host=_text(values["hostname"]) or "?",
        pid=None if pid is None else int(pid),
        # It is written with the heartbeat, so it may be ten seconds old.
        state="busy" if state == "idle" and held_by.get(name) else state or "?",
        queues=tuple(_text(values["queues"], 1000).split(",")),
        born=born,
        silent=None if beat is None else max(0.0, now - beat),
        sent=int(_number(values["successful_job_count"]) or 0),
        failed=int(_number(values["failed_job_count"]) or 0),
        retried=int(_number(values["rq_ses_retried"]) or 0),
        seconds=_number(values["total_working_time"]) or 0.0,
        current=held_by.get(name, 0),
        threads=None if threads is None else int(threads),
        account=named[1] if named else "",
        region=named[2] if named else "",
    )


def served_accounts(connection: Redis) -> frozenset[tuple[str, str]]:
    """Return the accounts that living workers send through, whatever their queues, by name and region.

    Raises redis.exceptions.RedisError.
    """
    client: Any = connection
    names = sorted(client.smembers(contract.WORKERS_KEY))[:WORKERS]
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hmget(name, *_FIELDS)
        answers = pipeline.execute(raise_on_error=False) if names else []
    found = [_worker(name, answer, {}, 0.0) for name, answer in zip(names, answers, strict=True)]
    return frozenset((worker.account, worker.region) for worker in found if worker and worker.account)


def _gate(connection: Redis, account: str, region: str, refused: dict[str, str]) -> GateState | None:
    try:
        return read_gate(connection, account, region)
    except ResponseError as exc:
        refused[f"account {account} in {region}"] = one_line(str(exc), _WORDS)
        return None


def _unserved(connection: Redis, refused: dict[str, str]) -> tuple[Unserved, ...]:
    try:
        return unserved(connection)
    except ResponseError as exc:
        refused["the names of all queues"] = one_line(str(exc), _WORDS)
        return ()


def _listed(answer: Any) -> list[bytes]:
    return [item for item in answer if isinstance(item, bytes)] if isinstance(answer, list) else []


def _text(value: Any, limit: int = _NAME_LIMIT) -> str:
    return one_line(value[: 4 * limit].decode("utf-8", "replace"), limit) if isinstance(value, bytes) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value[:40]) if isinstance(value, bytes) else math.nan
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _moment(value: Any) -> float | None:
    found = date(value[:40]) if isinstance(value, bytes) else None
    return None if found is None else found.timestamp()
