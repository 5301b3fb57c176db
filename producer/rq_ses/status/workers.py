"""Reads workers as they registered, ours and RQ's own; anybody may have written what is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.gate import gate_name
from rq_ses.keys import Keys, keys_of
from rq_ses.server.stored import date, line
from rq_ses.status.snapshot import WorkerState

MOST_WORKERS: Final = 2000
"""That are looked at."""


WORKER_FIELDS: Final = (
    *("hostname", "pid", "state", "queues", "birth", "death", "last_heartbeat"),
    *("successful_job_count", "failed_job_count", contract.RETRIED_FIELD, "total_working_time"),
    *(contract.THREADS_FIELD, contract.ACCOUNT_FIELD),
)
"""What is asked of a worker's hash."""

NAME_LIMIT: Final = 80


def worker_state(
    keys: Keys, key: bytes, answer: Any, held_by: Mapping[str, int], now: float
) -> WorkerState | None:
    """Return a worker by its key and its WORKER_FIELDS; None for one that is dead, or isn't there.

    `held_by` has the number of mails that each worker holds, by its name.
    """
    values = dict(zip(WORKER_FIELDS, answer, strict=True)) if isinstance(answer, list) else {}
    beat, born = epoch_of(values.get("last_heartbeat")), epoch_of(values.get("birth"))
    if (beat is None and born is None) or values.get("death"):
        return None  # RQ forgets it with its next maintenance
    name = line(key.removeprefix(keys.worker_prefix.encode()), NAME_LIMIT)
    pid, threads = number(values["pid"]), number(values[contract.THREADS_FIELD])
    state = line(values["state"], 20)
    account, region = gate_name(line(values[contract.ACCOUNT_FIELD], 200)) or ("", "")
    return WorkerState(
        name=name,
        host=line(values["hostname"], NAME_LIMIT) or "?",
        pid=None if pid is None else int(pid),
        # It is written with the heartbeat, so it may be ten seconds old.
        state="busy" if state == "idle" and held_by.get(name) else state or "?",
        queues=tuple(line(values["queues"], 1000).split(",")),
        born=born,
        silent=None if beat is None else max(0.0, now - beat),
        sent=int(number(values["successful_job_count"]) or 0),
        failed=int(number(values["failed_job_count"]) or 0),
        retried=int(number(values[contract.RETRIED_FIELD]) or 0),
        seconds=number(values["total_working_time"]) or 0.0,
        current=held_by.get(name, 0),
        threads=None if threads is None else int(threads),
        account=account,
        region=region,
    )


def served_accounts(connection: Redis) -> frozenset[tuple[str, str]]:
    """Return the accounts that living workers send through, whatever their queues, by name and region.

    Raises redis.exceptions.RedisError.
    """
    client: Any = connection
    keys = keys_of(connection)
    names = sorted(client.smembers(keys.workers))[:MOST_WORKERS]
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hmget(name, *WORKER_FIELDS)
        answers = pipeline.execute(raise_on_error=False) if names else []
    found = [worker_state(keys, name, answer, {}, 0.0) for name, answer in zip(names, answers, strict=True)]
    return frozenset((worker.account, worker.region) for worker in found if worker and worker.account)


def number(value: Any) -> float | None:
    """Return a number; None for what is none, or is beyond all that is counted."""
    try:
        found = float(value[:40]) if isinstance(value, bytes) else math.nan
    except ValueError:
        return None
    return found if abs(found) < 1e15 else None


def epoch_of(value: Any) -> float | None:
    """Return a moment in RQ's date form as epoch seconds; None for what is none."""
    found = date(value[:40]) if isinstance(value, bytes) else None
    return None if found is None else found.timestamp()
