"""Which message each idempotency key of a file stands for, before anything of it is sent."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence

from redis import Redis

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.outbox.submission import Submission
from rq_ses.partition import partition_of


class Keys:
    """The keys of the lines read so far, and those Redis knows.

    A file can be longer than memory, so the lines' own keys are in a database that SQLite moves to a
    temporary file when it grows; it is gone with the object.
    """

    def __init__(self, connections: Sequence[Redis], queue: str) -> None:
        self._connections = connections
        self._queue = queue
        self._seen = sqlite3.connect("")
        weakref.finalize(self, self._seen.close)
        self._seen.execute(
            "CREATE TABLE seen (job TEXT PRIMARY KEY, digest TEXT, line INTEGER) WITHOUT ROWID"
        )

    def conflicts(self, lines: Iterable[tuple[int, Submission]]) -> Iterator[tuple[int, str]]:
        """Yield number and problem of each line whose key stands for another message.

        Raises:
            redis.RedisError: what Redis knows could not be read.
        """
        keyed = [
            (number, key, contract.keyed_job_id(self._queue, key), contract.digest(message.to_payload()))
            for number, submission in lines
            if (key := submission.key) and (message := submission.message)
        ]
        known = self._known([job_id for _, _, job_id, _ in keyed])
        for number, key, job_id, digest in keyed:
            mark = known.get(job_id)
            if mark is not None and mark.decode().partition(":")[0] != digest:
                yield number, f"key {key!r} already stands for another message (job {job_id})"
            elif (first := self._first_line(job_id, digest, number)) is not None:
                yield number, f"key {key!r} stands for another message on line {first}"

    def _known(self, job_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return what each job has in its key field; each partition is asked for its own."""
        places: dict[int, list[str]] = {}
        for job_id in job_ids:
            places.setdefault(partition_of(job_id, len(self._connections)), []).append(job_id)
        known: dict[str, bytes | None] = {}
        for place, ids in places.items():
            connection = self._connections[place]
            keys = keys_of(connection)
            with connection.pipeline(transaction=False) as pipeline:
                for job_id in ids:
                    pipeline.hget(keys.job(job_id), contract.KEY_FIELD)
                known |= zip(ids, pipeline.execute(), strict=True)
        return known

    def _first_line(self, job_id: str, digest: str, number: int) -> int | None:
        """Remember a key; return the line where it stands for another message, if there is one."""
        added = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (job_id, digest, number))
        if added.rowcount:
            return None
        [(first_digest, first)] = self._seen.execute("SELECT digest, line FROM seen WHERE job = ?", (job_id,))
        return None if first_digest == digest else first
