"""A worker's entry among RQ's workers, in RQ 3.0's form: `rq info`, rq-dashboard and `Worker.all()` read it.

Written here and not by RQ's BaseWorker, which brings RQ's queues, jobs, schedulers and pools into a process
that runs no job of RQ's: 3 MB of each worker. tests/integration/engine/test_rqworkers.py compares the two.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.keys import keys_of
from rq_ses.rqdate import utcformat

STARTED: Final = "started"
SUSPENDED: Final = "suspended"
BUSY: Final = "busy"
IDLE: Final = "idle"
"""The states of a worker, as RQ spells them."""

TTL: Final = 120
"""Seconds without a heartbeat after which an entry expires."""

_DEAD_TTL: Final = 60
"""Seconds for which a worker that has ended can be looked at: RQ's."""

_CLEANING: Final = 899
"""Seconds for which one worker cleans a queue's set, and no other: RQ's."""

_AT_A_TIME: Final = 1000


class RqEntry:
    """The entry of one worker. Its methods raise RedisError.

    Args:
        connection: its server, whose keys are used.
        name: of the worker; it may be changed until the entry is written.
        queues: names of those that it is at.
        traits: fields beyond those that RQ's workers have.
    """

    def __init__(
        self, connection: Redis, name: str, queues: Sequence[str], traits: Mapping[str, object]
    ) -> None:
        self.name = name
        self._connection = connection
        self._queues = tuple(queues)
        self._traits = traits
        self._keys = keys_of(connection)
        self._birth: datetime | None = None
        self._address = "unknown"

    @property
    def key(self) -> str:
        """Hash of the worker."""
        return self._keys.worker(self.name)

    @property
    def channel(self) -> str:
        """Pub/sub channel on which RQ's commands come to it."""
        return f"{self._keys.root}pubsub:{self.name}"

    @property
    def written(self) -> bool:
        """Whether it was tried to write it; the heartbeat mends what is missing."""
        return self._birth is not None

    def taken(self) -> bool:
        """Tell whether a worker of this name is there, which isn't this one."""
        return bool(self._connection.exists(self.key)) and not self._connection.hexists(self.key, "death")

    def write(self) -> None:
        """Appear among RQ's workers."""
        self._name_connection()
        # Before it is written: an answer that is lost must not make it somebody else's.
        self._birth = datetime.now(UTC)
        with self._connection.pipeline() as pipeline:
            pipeline.delete(self.key)
            self._write(pipeline, self._birth)
            pipeline.expire(self.key, TTL)
            pipeline.execute()

    def set_state(self, state: str) -> None:
        """Show a state."""
        self._connection.hset(self.key, "state", state)

    def beat(self, state: str, stopping_since: datetime | None) -> None:
        """Stay for another TTL seconds, in this state; an entry that the server has lost is written anew."""
        with self._connection.pipeline() as pipeline:
            pipeline.hset(self.key, "last_heartbeat", utcformat(datetime.now(UTC)))
            pipeline.expire(self.key, TTL)
            pipeline.hset(self.key, "state", state)
            if stopping_since:
                pipeline.hset(self.key, "shutdown_requested_date", utcformat(stopping_since))
            pipeline.hexists(self.key, "birth")
            known = pipeline.execute()[-1]
            if not known:  # it expired while we were paused, or the server was flushed
                self._write(pipeline, self._birth or datetime.now(UTC))
                pipeline.execute()

    def end(self) -> None:
        """Leave RQ's workers; for a minute the hash says when that was."""
        with self._connection.pipeline() as pipeline:
            pipeline.srem(self._keys.workers, self.key)
            for queue in self._queues:
                pipeline.srem(self._keys.workers_at(queue), self.key)
            pipeline.hset(self.key, "death", utcformat(datetime.now(UTC)))
            pipeline.expire(self.key, _DEAD_TTL)
            pipeline.execute()

    def clean(self) -> None:
        """Drop the names of workers whose hashes have expired, at each queue that nobody else is cleaning."""
        for queue in self._queues:
            lock = f"{self._keys.root}clean_registries:{queue}"
            if self._connection.set(lock, 1, nx=True, ex=_CLEANING):
                try:
                    self._clean(queue)
                finally:
                    self._connection.delete(lock)

    def fields(self, birth: datetime) -> dict[str, Any]:
        """Return the hash of a worker that was born then and has just beaten."""
        return {
            "birth": utcformat(birth),
            "last_heartbeat": utcformat(datetime.now(UTC)),
            "queues": ",".join(self._queues),
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "ip_address": self._address,
            "version": version("rq"),
            "python_version": sys.version,
            **self._traits,
        }

    def _write(self, pipeline: Any, birth: datetime) -> None:
        pipeline.hset(self.key, mapping=self.fields(birth))
        pipeline.sadd(self._keys.workers, self.key)
        for queue in self._queues:
            pipeline.sadd(self._keys.workers_at(queue), self.key)

    def _name_connection(self) -> None:
        """Give the connection the worker's name, and learn its address; a server may refuse both."""
        try:
            self._connection.client_setname(self.name)
            told: Any = self._connection.client_info()
            self._address = str(told["addr"])
        except ResponseError:
            self._address = "unknown"

    def _clean(self, queue: str) -> None:
        there: Any = self._connection.smembers(self._keys.workers_at(queue))
        with self._connection.pipeline(transaction=False) as pipeline:
            for key in there:
                pipeline.exists(key)
            gone = [key for key, exists in zip(there, pipeline.execute(), strict=True) if not exists]
        for start in range(0, len(gone), _AT_A_TIME):
            some = gone[start : start + _AT_A_TIME]
            with self._connection.pipeline() as pipeline:
                pipeline.srem(self._keys.workers_at(queue), *some)
                pipeline.srem(self._keys.workers, *some)
                pipeline.execute()
