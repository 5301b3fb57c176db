"""Moves mails to the partitions they belong to, where the number of partitions is changed.

Each is written whole to its new place, in one step, before it is taken from its old one. A move that is
broken off thus leaves mails in both, and never in none; nobody sends one twice, for nothing is claimed under
any of the prefixes until a move has come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from redis import Redis
from redis.exceptions import WatchError

from rq_ses.errors import RqSesError
from rq_ses.keys import Keys, keys_of
from rq_ses.mails.moving.carrying import Carrying
from rq_ses.mails.moving.copies import Copy, Place, fitting, read_copies, write_copies
from rq_ses.mails.moving.events import carry_events
from rq_ses.partition import MOVING
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.states import DEFERRED, SCHEDULED, SETTLED, WIP
from rq_ses.text.plaintext import one_line

MARK: Final = MOVING.encode()

PAGE: Final = 200
"""Mails of a step at most."""

_TRIES: Final = 100
"""Of a step that others' changes spoil."""
_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 30.0, 5.0
_KINDS: Final = ("", SCHEDULED, *SETTLED, DEFERRED)


class MoveRefused(RqSesError):
    """Raised when mails can't be moved now; the text says what to do."""


@dataclass(slots=True)
class Moved:
    """What a move has done."""

    moved: int = 0
    over: int = 0
    """Of those moved: sent or canceled, and left out where their keys stand for another mail by now."""
    campaigns: int = 0
    """Campaigns that have ended, and are remembered where their entries belong by now."""
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    """Prefix and job id of mails that are left: their keys stand for another mail where they belong."""


class Move:
    """Moves the mails of some queues from old partitions to those they belong to by the present number.

    It may be broken off at any moment, and be run again. Until one has come to its end, nothing is claimed
    under any of the prefixes (RQ's suspension). Every method raises redis.exceptions.RedisError when a server
    is away.

    Args:
        redis_url: URL of the server, or of its Sentinels (see rq_ses.server.connection).
        origins: prefixes under which mails stand, those of partitions or of a queue without. In `partitions`
            mails are looked for, too: one that belongs to another of them is moved.
        partitions: prefixes as the Outbox has them; none: mails are moved under the deployment's own prefix.
        queues: names of RQ queues.

    Raises:
        ValueError: an argument can't be used.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        origins: Sequence[str],
        partitions: str | Sequence[str],
        queues: Sequence[str],
    ) -> None:
        server, waits = Location(redis_url, None), (_SOCKET_TIMEOUT, _CONNECT_TIMEOUT)
        self._targets = Partitions.at(server, partitions, socket_timeout=waits[0], connect_timeout=waits[1])
        self._sources = [
            server.client(socket_timeout=waits[0], connect_timeout=waits[1], keys=Keys(prefix))
            for prefix in dict.fromkeys((*origins, *(keys_of(target).prefix for target in self._targets)))
        ]
        self._origins = self._sources[: len(dict.fromkeys(origins))]
        for client in self._all():
            # A page is read and written beside the connection that watches it.
            pool = client.connection_pool
            pool.max_connections = max(pool.max_connections, 2)
        self._carrying = Carrying(self._sources, list(self._targets))
        prefixes = [[keys_of(one).prefix for one in some] for some in (self._origins, self._targets)]
        self._renumbered = prefixes[0] != prefixes[1]
        self._places = [Place(kind, queue) for queue, kind in product(queues, _KINDS)]
        self._queues = tuple(queues)

    def run(self, on_progress: Callable[[Moved], None] = lambda _: None) -> Moved:
        """Move what doesn't stand where it belongs; `on_progress` is called with what is done so far.

        Raises:
            MoveRefused: workers are there, or mails that a worker has taken; nothing was moved. Or producers
                are: what was moved until then is.
        """
        held = [client for client in self._all() if client.set(keys_of(client).suspended, MARK, nx=True)]
        problem = next(self._problems(), None)
        if problem:
            _release(held)
            raise MoveRefused(problem)
        done = Moved()
        for source, place in product(self._sources, self._places):
            for _ in self._walk(source, place, done):
                on_progress(done)
        carry_events(self._sources, self._targets)
        if self._renumbered:
            done.campaigns = self._carrying.run()
        if not done.conflicts:
            _release(self._all())
        return done

    def unknown(self) -> list[str]:
        """Return the origins under which nothing of the queues has ever stood."""
        found = []
        for client in self._origins:
            keys = keys_of(client)
            if not any(client.sismember(keys.queues, keys.queue(queue)) for queue in self._queues):
                found.append(keys.prefix)
        return found

    def close(self) -> None:
        """Close all connections."""
        self._targets.close()
        for source in self._sources:
            source.close()

    def _all(self) -> list[Redis]:
        by_prefix = {keys_of(client).prefix: client for client in (*self._sources, *self._targets)}
        return list(by_prefix.values())

    def _problems(self) -> Iterator[str]:
        """Yield why mails can't be moved."""
        if self._renumbered:
            yield from self._carrying.problems()
        for client in self._all():
            keys = keys_of(client)
            for queue in self._queues:
                for worker in _living(client, queue):
                    yield (
                        f"worker {worker} is at queue {queue} under {keys.prefix}: end it "
                        "(one that was killed is forgotten within minutes)"
                    )
                taken = client.zcard(keys.leases(queue)) or client.zcard(keys.registry(WIP, queue))
                if taken or client.llen(keys.intermediate(queue)):
                    yield (
                        f"mails of queue {queue} under {keys.prefix} were taken by a worker that has died: "
                        "with the partitions as they were, let `rq-ses worker --burst` finish them"
                    )

    def _walk(self, source: Redis, place: Place, done: Moved) -> Iterator[None]:
        """Move what is in a place, page by page."""
        client: Any = source
        key = place.key(keys_of(source))
        left = client.zcard(key) if place.kind else client.llen(key)
        stayed = 0
        while left > 0:
            # What stays goes to the end of a list, whose entries can't be passed over: after a whole turn all
            # are as they were.
            looked, kept = self._step(source, place, 0 if not place.kind else stayed, min(PAGE, left), done)
            if not looked:
                return
            left, stayed = left - looked, stayed + kept
            yield

    def _step(self, source: Redis, place: Place, start: int, most: int, done: Moved) -> tuple[int, int]:
        """Move those of a page that are to be; return how many it has, and how many of them stay."""
        for _ in range(_TRIES):
            try:
                return self._try(source, place, start, most, done)
            except WatchError:
                continue
        raise MoveRefused(
            f"the mails of queue {place.queue} under {keys_of(source).prefix} are changed all the time: "
            "end what enqueues or resends them, and run it again"
        )

    def _try(self, source: Redis, place: Place, start: int, most: int, done: Moved) -> tuple[int, int]:
        keys = keys_of(source)
        key = place.key(keys)
        with source.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            members = _members(pipeline, place, key, start, most)
            members = members[: fitting(source, [job_id for job_id, _ in members])] if members else []
            if not members:
                return 0, 0
            pipeline.watch(*(keys.job(job_id) for job_id, _ in members))
            step = self._written(source, place, read_copies(source, members))
            gone = set(step.gone)
            kept = [job_id for job_id, _ in members if job_id not in gone]
            pipeline.multi()
            if gone or not place.kind:
                _take(pipeline, place, key, len(members), kept, step.gone)
            for job_id in step.gone:
                pipeline.delete(keys.job(job_id), keys.results(job_id), keys.executions(job_id))
            pipeline.execute()
        done.moved += len(gone)
        done.over += step.over
        done.conflicts += step.conflicts
        return len(members), len(kept)

    def _written(self, source: Redis, place: Place, copies: Iterable[Copy]) -> _Step:
        """Write copies to the partitions they belong to; return what became of them."""
        prefix, step = keys_of(source).prefix, _Step()
        targets: dict[str, list[Copy]] = {}
        for copy in copies:
            target = keys_of(self._targets.of(copy.job_id.decode("utf-8", "surrogateescape"))).prefix
            if target != prefix:
                targets.setdefault(target, []).append(copy)
        for target, some in targets.items():
            for job_id, word in write_copies(self._targets.under(target), place, some).items():
                if word == "conflict":
                    step.conflicts.append((prefix, one_line(job_id.decode("utf-8", "replace"), 100)))
                else:
                    step.gone.append(job_id)
                    step.over += word == "over"
        return step


@dataclass(slots=True)
class _Step:
    """What became of a page's mails that belong elsewhere."""

    gone: list[bytes] = field(default_factory=list)
    """Stand where they belong now, and are to be taken from their old place."""
    over: int = 0
    conflicts: list[tuple[str, str]] = field(default_factory=list)


def _members(pipeline: Any, place: Place, key: str, start: int, most: int) -> list[tuple[bytes, float]]:
    if place.kind:
        found: list[tuple[bytes, float]] = pipeline.zrange(key, start, start + most - 1, withscores=True)
        return found
    return [(job_id, 0.0) for job_id in pipeline.lrange(key, 0, most - 1)]


def _take(
    pipeline: Any, place: Place, key: str, looked: int, kept: Sequence[bytes], gone: Sequence[bytes]
) -> None:
    """Take mails from their place; those of a list that stay go to its end."""
    if place.kind:
        pipeline.zrem(key, *gone)
        return
    pipeline.ltrim(key, looked, -1)
    if kept:
        pipeline.rpush(key, *kept)


def _living(client: Any, queue: str) -> Iterator[str]:
    """Yield the names of a queue's workers."""
    keys = keys_of(client)
    for name in sorted(client.smembers(keys.workers_at(queue))):
        born, died = client.hmget(name, "birth", "death")
        if born and not died:
            yield one_line(name.decode("utf-8", "replace").removeprefix(keys.worker_prefix), 80)


def _release(clients: Iterable[Redis]) -> None:
    """Let workers claim again, where it was a move that has kept them from it."""
    for client in clients:
        suspended = keys_of(client).suspended
        if client.get(suspended) == MARK:
            client.delete(suspended)
