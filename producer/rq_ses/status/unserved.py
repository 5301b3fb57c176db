"""Queues with mails and without a worker: an app fills one, a worker serves another, and nobody says so."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.states import SCHEDULED
from rq_ses.text.plaintext import one_line

QUEUES: Final = 500
"""That are looked at; RQ's other queues are among them."""

_LOOKED_AT: Final = 3
"""Jobs of a queue; one of ours makes it one of mails."""

_DESCRIBED: Final = " → ".encode()


@dataclass(frozen=True, slots=True)
class Unserved:
    """A queue that no worker is at, and how many mails wait in it or are scheduled."""

    queue: str
    mails: int
    partition: str | None = None
    """Its prefix; None if the queue has none."""

    @property
    def remedy(self) -> str:
        """The command that serves it."""
        return f"rq-ses worker --queue {_base(self.queue)}"

    def __str__(self) -> str:
        where = f" in partition {self.partition}" if self.partition else ""
        return f"queue {self.queue}{where} holds {_mails(self.mails)} and no worker serves it"


@dataclass(frozen=True, slots=True)
class Stray(Unserved):
    """A queue under the deployment's own prefix, where others are partitions: filled by who doesn't know."""

    @property
    def remedy(self) -> str:
        """The command that brings its mails where they belong."""
        return (
            f"rq-ses partitions move --from {shlex.quote(self.partition or '')} --queue {_base(self.queue)}"
        )

    def __str__(self) -> str:
        where = f"queue {self.queue} under {self.partition}"
        return f"{where} holds {_mails(self.mails)} and belongs to no partition"


def strays(own: Redis, *, besides: Collection[str] = ()) -> tuple[Stray, ...]:
    """Return the queues of mails that stand beside a queue's partitions, and that no worker is at. Only read.

    Args:
        own: a client under the deployment's own prefix, which is none of the partitions.
        besides: names of queues to leave out.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses everything.
    """
    prefix = keys_of(own).prefix
    return tuple(Stray(one.queue, one.mails, prefix) for one in unserved(own, besides=besides))


def unserved(connection: Redis, *, besides: Collection[str] = ()) -> tuple[Unserved, ...]:
    """Return the queues of mails that no worker is at, by name, without those `besides`. Only read.

    Raises redis.exceptions.RedisError: Redis is away, or refuses everything.
    """
    client: Any = connection
    keys = keys_of(connection)
    prefix = keys.queue("").encode()
    there = sorted(client.smembers(keys.queues))[:QUEUES]
    names = [key.removeprefix(prefix).decode("utf-8", "replace") for key in there]
    names = [name for name in names if name not in besides]
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            queue, scheduled = keys.queue(name), keys.registry(SCHEDULED, name)
            pipeline.llen(queue).zcard(scheduled).smembers(keys.workers_at(name))
            pipeline.lrange(queue, 0, _LOOKED_AT - 1).zrange(scheduled, 0, _LOOKED_AT - 1)
        answers = iter(pipeline.execute(raise_on_error=False))
    held: dict[str, tuple[int, list[bytes], list[bytes]]] = {}
    for name in names:
        waiting, scheduled, workers, *fronts = (next(answers) for _ in range(5))
        mails = sum(count for count in (waiting, scheduled) if isinstance(count, int))
        ids = [job for front in fronts if isinstance(front, list) for job in front if _is_ours(job)]
        if mails and ids and isinstance(workers, set):
            held[name] = mails, ids, sorted(workers)
    with client.pipeline(transaction=False) as pipeline:
        for _, ids, workers in held.values():
            # The set keeps the name of one that was killed; its hash expires.
            if workers:
                pipeline.exists(*workers)
            for job in ids:
                pipeline.hget(keys.job(job), "description")
        answers = iter(pipeline.execute(raise_on_error=False) if held else ())
    found = []
    for name, (mails, ids, workers) in held.items():
        living = next(answers) if workers else 0
        described = [next(answers) for _ in ids]
        ours = any(isinstance(text, bytes) and _DESCRIBED in text for text in described)
        if ours and living == 0:
            found.append(Unserved(one_line(name, 100), mails))
    return tuple(found)


def _is_ours(job_id: bytes) -> bool:
    return contract.JOB_ID.fullmatch(job_id) is not None


def _base(queue: str) -> str:
    """Return the name of a queue without that of a priority."""
    for priority in contract.PRIORITIES:
        queue = queue.removesuffix(f"-{priority}") if priority != "normal" else queue
    return queue


def _mails(number: int) -> str:
    return "1 mail" if number == 1 else f"{number:,} mails"
