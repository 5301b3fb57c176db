"""The first look at all jobs of a queue: what doesn't seem to stand where its status says.

It reads in batches beside running workers, so what it sees of a job in motion may be torn: whatever looks
wrong has to be looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from redis import Redis

from rq_ses import states
from rq_ses.keys import keys_of
from rq_ses_worker.audit.idset import IdSet
from rq_ses_worker.audit.jobs import Jobs
from rq_ses_worker.audit.placement import HOME
from rq_ses_worker.audit.places import Places

BATCH: Final = 1000
"""Jobs that are read in one round trip."""

_EXPIRING: Final = 60.0
"""Seconds before its time is over in which an entry without a job is left to a worker's sweep."""


class Suspect(NamedTuple):
    """A job that is to be looked at."""

    job_id: bytes
    unlisted: bool = False
    """It is queued, and only missed in the list, which moves."""
    expiring: bool = False
    """It is to be sent, and has a time to live."""
    home: str = ""
    """The prefix of the partition it belongs to, where that is another one."""


class Scan:
    """Looks through one queue's places, and through all jobs. Its methods raise RedisError.

    Args:
        connection: any client.
        places: the queue's.
        jobs: the queue's.
        now: returns the server's time, in epoch seconds.
        tell: called with the number of jobs read so far.
        home: returns the prefix of the partition that a job belongs to; "" if it is this one.
    """

    def __init__(
        self,
        connection: Redis,
        places: Places,
        jobs: Jobs,
        now: Callable[[], float],
        tell: Callable[[int], None],
        home: Callable[[bytes], str],
    ) -> None:
        self._connection: Any = connection
        self._prefix = keys_of(connection).job_prefix
        self._places = places
        self._jobs = jobs
        self._now = now
        self._tell = tell
        self._home = home
        self._waiting = IdSet()

    def suspects(self) -> Iterator[Suspect]:
        """Yield what looks wrong; a job may come several times."""
        self._waiting = IdSet()
        yield from map(Suspect, self._in_list())
        yield from map(Suspect, self._connection.lrange(self._places.intermediate, 0, -1))
        for key in (self._places.started, self._places.leases):
            for member, _ in self._connection.zscan_iter(key, count=BATCH):
                yield Suspect(member.partition(b":")[0])
        for name, key in self._places.registries.items():
            for members in _chunks(self._connection.zscan_iter(key, count=BATCH)):
                yield from map(Suspect, self._in_registry(name, members))
        read = 0
        for keys in _chunks(self._connection.scan_iter(f"{self._prefix}*", count=BATCH, _type="HASH")):
            yield from self._misplaced([key[len(self._prefix) :] for key in keys])
            read += len(keys)
            self._tell(read)

    def still_missing(self, suspects: Sequence[Suspect]) -> list[Suspect]:
        """Return the suspects without those that were only missed in the list, and stand in it now.

        Most were enqueued while we read: the list, read anew, tells so without a search for each.
        """
        for _ in self._listed():
            pass
        return [s for s in suspects if not (s.unlisted and s.job_id in self._waiting)]

    def _in_list(self) -> Iterator[bytes]:
        for ids in self._listed():
            statuses = self._jobs.fields(ids, "status")
            yield from (
                job_id
                for job_id, (status,) in zip(ids, statuses, strict=True)
                if _text(status) != states.QUEUED
            )

    def _listed(self) -> Iterator[list[bytes]]:
        """Read the list into `_waiting`, a batch at a time."""
        # From its end: claims at the head and pushes at the end then let nothing be passed over.
        read = 0
        waiting = IdSet()
        while ids := self._connection.lrange(self._places.list, -read - BATCH, -read - 1):
            for job_id in ids:
                waiting.add(job_id)
            yield ids
            read += BATCH
        self._waiting = waiting

    def _in_registry(self, registry: str, members: Sequence[tuple[bytes, float]]) -> Iterator[bytes]:
        now = self._now()
        statuses = self._jobs.fields([member for member, _ in members], "status")
        for (job_id, score), (status,) in zip(members, statuses, strict=True):
            if status is None and registry in states.SETTLED and score <= now + _EXPIRING:
                continue  # both have had their time; a worker's sweep drops the entry
            if HOME.get(_text(status)) != registry:
                yield job_id

    def _misplaced(self, ids: Sequence[bytes]) -> Iterator[Suspect]:
        """Yield those of these jobs of our queue that aren't where their status says."""
        ids = [job_id for job_id in ids if b":" not in job_id]
        resting: list[tuple[bytes, str]] = []
        fields = self._jobs.fields(ids, "origin", "status")
        for job_id, (origin, raw), has_data, ttl in zip(
            ids, fields, self._jobs.have_data(ids), self._jobs.ttls(ids), strict=True
        ):
            if not self._jobs.is_ours(job_id, origin):
                continue
            if home := self._home(job_id):
                yield Suspect(job_id, home=home)
            status = _text(raw)
            if status in states.WAITING and ttl >= 0:
                yield Suspect(job_id, expiring=True)
            if status in (states.STARTED, "") or (status in states.WAITING and not has_data):
                yield Suspect(job_id)
            elif status == states.QUEUED:
                if job_id not in self._waiting:
                    yield Suspect(job_id, unlisted=True)
            elif status in HOME:
                resting.append((job_id, status))
        yield from map(Suspect, self._homeless(resting))

    def _homeless(self, resting: Sequence[tuple[bytes, str]]) -> Iterator[bytes]:
        """Yield those of these jobs that don't stand in the registry of their status."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id, status in resting:
                pipeline.zscore(self._places.registries[HOME[status]], job_id)
            scores = pipeline.execute()
        yield from (job_id for (job_id, _), score in zip(resting, scores, strict=True) if score is None)


def _text(status: bytes | None) -> str:
    return (status or b"").decode("utf-8", "replace")


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(items, BATCH)):
        yield chunk
