"""The hashes of many jobs, a field or two of each, read in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.server.jobdata import inflated_head
from rq_ses.server.stored import answered
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_job

_FUNCTION: Final = b'["' + contract.JOB_FUNCTION.encode() + b'"'


class Jobs:
    """Reads jobs, those too whose keys are of another type. Every method raises RedisError.

    Args:
        connection: any client.
        queue: name of the queue whose jobs are ours.
    """

    def __init__(self, connection: Redis, queue: str) -> None:
        self._connection: Any = connection
        self._keys = keys_of(connection)
        self._queue = queue.encode()

    def fields(self, ids: Sequence[bytes], *names: str) -> list[list[bytes | None]]:
        """Return these fields of each job; None is one that isn't there."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(self._keys.job(job_id), names)
            answers = pipeline.execute(raise_on_error=False)
        return [[None] * len(names) if _is_no_job(answer) else answer for answer in answers]

    def have_data(self, ids: Sequence[bytes]) -> list[bool]:
        """Tell of each job whether its payload is there."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hexists(self._keys.job(job_id), "data")
            answers = pipeline.execute(raise_on_error=False)
        return [not _is_no_job(answer) and bool(answer) for answer in answers]

    def ttls(self, ids: Sequence[bytes]) -> list[int]:
        """Return milliseconds; -1 where a job doesn't expire, -2 where there is none."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.pttl(self._keys.job(job_id))
            ttls: list[int] = pipeline.execute()
        return ttls

    def is_ours(self, job_id: bytes, origin: bytes | None) -> bool:
        """Tell whether a job is one of our queue: by its origin, or where it has none by its function."""
        if origin:
            return origin == self._queue
        data = self._connection.hget(self._keys.job(job_id), "data")
        return data is not None and inflated_head(data, 256).startswith(_FUNCTION)

    def task(self, job_id: bytes) -> Task | None:
        """Return what a job asks for; None if that can't be read: the worker that claims it will say so."""
        data = self._connection.hget(self._keys.job(job_id), "data")
        try:
            return read_job(data) if data else None
        except JobRefused:
            return None


def _is_no_job(answer: object) -> bool:
    """Tell whether a key is of another type, and so no job; any other error is raised."""
    return answered(answer) is None
