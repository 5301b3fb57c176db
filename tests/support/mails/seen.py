"""One look at a queue's keys in Redis, as the state machine's invariants want it."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from support.mails.accounting import PLACES
from support.mails.keys import KEYS


@dataclass
class Seen:
    """What one look at Redis shows."""

    status: dict[str, str]
    ttl: dict[str, int]
    places: dict[str, list[str]]
    wip: set[str]
    leases: set[str]
    executions: set[str]
    indexes: set[str]


def names(keys: list[bytes], prefixes: int) -> list[str]:
    return [key.decode().split(":", prefixes)[-1] for key in keys]


def job_of(member: str) -> str:
    return member.partition(":")[0]


def look(redis: Redis, queue: str) -> Seen:
    """Return what stands in Redis now."""
    with redis.pipeline() as first:
        for pattern in (KEYS.job_prefix, "rq:execution:", "rq:executions:"):
            first.keys(pattern + "*")
        jobs, executions, indexes = [names(keys, 2) for keys in first.execute()]
    with redis.pipeline() as pipe:
        for job_id in jobs:
            pipe.hget(KEYS.job(job_id), "status").ttl(KEYS.job(job_id))
        for place, key_of in PLACES.items():
            (pipe.lrange if place == "queued" else pipe.zrange)(key_of(queue), 0, -1)
        replies = pipe.zrange(KEYS.leases(queue), 0, -1).execute()
    at = 2 * len(jobs)
    places: dict[str, list[str]] = {}
    for place, members in zip(PLACES, replies[at:-1], strict=True):
        for member in members:
            places.setdefault(job_of(member.decode()), []).append(place)
    return Seen(
        status={job_id: replies[2 * n].decode() for n, job_id in enumerate(jobs)},
        ttl={job_id: replies[2 * n + 1] for n, job_id in enumerate(jobs)},
        places=places,
        wip=set(names(replies[at + list(PLACES).index("started")], 0)),
        leases=set(names(replies[-1], 0)),
        executions=set(executions),
        indexes=set(indexes),
    )
