"""The readers of all partitions as one: their dead letters one partition after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.reading.reader import Passed, Reader
from rq_ses.partition import partition_of
from rq_ses.server.partitions import Partitions
from rq_ses.server.serverclock import server_time


class Readers:
    """Yields the dead letters of some queues, in each of a partition those that failed first before others.

    Raises redis.RedisError from every method that reads.

    Args:
        partitions: the clients.
        queues: names of RQ queues.
    """

    def __init__(self, partitions: Partitions, queues: Sequence[str]) -> None:
        self._partitions = partitions
        self._readers = [Reader(client, queues) for client in partitions]

    def times(self) -> list[float]:
        """Return the time (epoch seconds) of each partition's server."""
        times = []
        for client in self._partitions:
            with self._partitions.naming(client):
                times.append(server_time(client))
        return times

    def letters(
        self,
        wanted: Filter,
        passed: Passed,
        *,
        payloads: bool = False,
        checked: bool = False,
        since: Sequence[float] = (),
    ) -> Iterator[DeadLetter]:
        """Yield the dead letters that are wanted, as `Reader.letters` does; `since` has a moment for each."""
        for place, reader in enumerate(self._readers):
            own = self._own(wanted, place)
            if own is not None:
                moment = since[place] if since else 0
                with self._partitions.naming(self._partitions.clients[place]):
                    yield from reader.letters(own, passed, payloads=payloads, checked=checked, since=moment)

    def _own(self, wanted: Filter, place: int) -> Filter | None:
        """Return what is wanted of a partition: of jobs that are named, its own; None if none of them is."""
        if wanted.ids is None or len(self._readers) == 1:
            return wanted
        ids = [job_id for job_id in wanted.ids if partition_of(job_id, len(self._readers)) == place]
        return replace(wanted, ids=ids) if ids else None
