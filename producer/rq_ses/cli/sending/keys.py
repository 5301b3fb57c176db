"""Which message each idempotency key of a file stands for, before anything of it is sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from redis import Redis

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.outbox.submission import Submission


class Keys:
    """The keys of the lines read so far, and those Redis knows.

    A file can be longer than memory, so the lines' own keys are in a database that SQLite moves to a
    temporary file when it grows; it is gone with the object.
    """

    def __init__(self, connection: Redis, queue: str) -> None:
        self._connection = connection
        self._keys = keys_of(connection)
        self._queue = queue
        self._seen = sqlite3.connect("")
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
        with self._connection.pipeline(transaction=False) as pipeline:
            for _, _, job_id, _ in keyed:
                pipeline.hget(self._keys.job(job_id), contract.KEY_FIELD)
            known = pipeline.execute()
        for (number, key, job_id, digest), mark in zip(keyed, known, strict=True):
            if mark is not None and mark.decode().partition(":")[0] != digest:
                yield number, f"key {key!r} already stands for another message (job {job_id})"
            elif (first := self._first_line(job_id, digest, number)) is not None:
                yield number, f"key {key!r} stands for another message on line {first}"

    def _first_line(self, job_id: str, digest: str, number: int) -> int | None:
        """Remember a key; return the line where it stands for another message, if there is one."""
        added = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (job_id, digest, number))
        if added.rowcount:
            return None
        [(first_digest, first)] = self._seen.execute("SELECT digest, line FROM seen WHERE job = ?", (job_id,))
        return None if first_digest == digest else first
