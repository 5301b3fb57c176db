"""A mail as it is kept, whole: read from one place, and written to another in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import Redis

from rq_ses import contract
from rq_ses.deadletter.reading.payload import is_ours
from rq_ses.keys import Keys, keys_of
from rq_ses.server.stored import answered
from rq_ses.states import CANCELED, FINISHED

Word = Literal["written", "there", "over", "conflict"]
"""What became of a copy: written; there as it is; something else is, and it is over, or it isn't."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of payloads that are read together; a larger one is read by itself."""

_OVER: Final = (FINISHED.encode(), CANCELED.encode())

_BORN: Final = (b"created_at", contract.KEY_FIELD.encode())
"""Fields that tell a mail from another one under its key."""


@dataclass(frozen=True, slots=True)
class Place:
    """A queue's list, or one of its registries."""

    kind: str
    """Of the registry; "" is the list."""
    queue: str

    def key(self, keys: Keys) -> str:
        """Return its key."""
        return keys.registry(self.kind, self.queue) if self.kind else keys.queue(self.queue)


@dataclass(frozen=True, slots=True)
class Copy:
    """One mail: its hash and its results, each with the milliseconds until it expires (below 0: never)."""

    job_id: bytes
    score: float
    """In its registry; 0 in a list."""
    fields: Mapping[bytes, bytes]
    ttl: int
    results: Sequence[tuple[bytes, Mapping[bytes, bytes]]]
    results_ttl: int


def fitting(client: Redis, ids: Sequence[bytes]) -> int:
    """Return how many jobs, at least one, can be read together."""
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hstrlen(keys.job(job_id), "data")
        sizes = map(answered, pipeline.execute(raise_on_error=False))
    total = 0
    for number, size in enumerate(sizes):
        total += size if isinstance(size, int) else 0
        if number and total > MOST_BYTES:
            return number
    return len(ids)


def read_copies(client: Redis, members: Sequence[tuple[bytes, float]]) -> list[Copy]:
    """Return those of some jobs, each with its score, that are mails."""
    keys = keys_of(client)
    pipeline: Any
    with client.pipeline(transaction=False) as pipeline:
        for job_id, _ in members:
            job, results = keys.job(job_id), keys.results(job_id)
            pipeline.hgetall(job).pttl(job).xrange(results).pttl(results)
        answers = map(answered, pipeline.execute(raise_on_error=False))
    found = []
    for job_id, score in members:
        fields, ttl, results, results_ttl = (next(answers) for _ in range(4))
        if isinstance(fields, dict) and b"status" in fields and _is_mail(fields):
            kept = results if isinstance(results, list) else []
            found.append(Copy(job_id, score, fields, ttl, kept, results_ttl))
    return found


def write_copies(client: Redis, place: Place, copies: Sequence[Copy]) -> dict[bytes, Word]:
    """Write mails, all that can be in one step; return what became of each.

    Raises:
        redis.exceptions.WatchError: somebody has changed one of them meanwhile; nothing was written.
        redis.exceptions.RedisError: the server is away, or refuses.
    """
    keys = keys_of(client)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(*(keys.job(copy.job_id) for copy in copies))
        words = {copy.job_id: _word(copy, there) for copy, there in _there(client, copies)}
        pipeline.multi()
        fresh = [copy for copy in copies if words[copy.job_id] == "written"]
        for copy in fresh:
            _write(pipeline, keys, copy)
        if fresh:
            pipeline.sadd(keys.queues, keys.queue(place.queue))
            _put(pipeline, place.key(keys), fresh, listed=not place.kind)
        pipeline.execute()
    return words


def _there(client: Redis, copies: Sequence[Copy]) -> Iterator[tuple[Copy, Any]]:
    """Yield copies, each with the hash that stands where it is to be."""
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        for copy in copies:
            pipeline.hgetall(keys.job(copy.job_id))
        yield from zip(copies, pipeline.execute(), strict=True)


def _word(copy: Copy, there: Mapping[bytes, bytes]) -> Word:
    if not there:
        return "written"
    if there == copy.fields:
        return "there"
    if copy.fields[b"status"] not in _OVER:
        return "conflict"
    # Of a copy that was canceled after it had been written, the other one is to be canceled, too.
    same = all(there.get(name) == copy.fields.get(name) for name in _BORN)
    return "conflict" if same and there.get(b"status") not in _OVER else "over"


def _write(pipeline: Any, keys: Keys, copy: Copy) -> None:
    job, results = keys.job(copy.job_id), keys.results(copy.job_id)
    pipeline.hset(job, mapping=copy.fields)
    if copy.ttl >= 0:
        pipeline.pexpire(job, max(1, copy.ttl))
    pipeline.delete(results)
    for name, fields in copy.results:
        pipeline.xadd(results, fields, id=name)
    if copy.results and copy.results_ttl >= 0:
        pipeline.pexpire(results, max(1, copy.results_ttl))


def _put(pipeline: Any, key: str, copies: Iterable[Copy], *, listed: bool) -> None:
    if listed:
        pipeline.rpush(key, *(copy.job_id for copy in copies))
    else:
        pipeline.zadd(key, {copy.job_id: copy.score for copy in copies})


def _is_mail(fields: Mapping[bytes, bytes]) -> bool:
    data = fields.get(b"data", b"")
    # A receipt has no payload any more.
    return is_ours(data) if data else fields[b"status"] == FINISHED.encode()
