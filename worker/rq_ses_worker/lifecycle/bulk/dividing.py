"""Divides bulk jobs, whose entries have fates of their own (split.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.contract import BULK_ENTRIES, HELD_ENTRIES
from rq_ses.rqdate import utcformat
from rq_ses_worker.lifecycle.codec import NOBODY, Told, encode_division, encode_parts
from rq_ses_worker.lifecycle.keys import ScriptKeys
from rq_ses_worker.lifecycle.records import Division, Lease, Settlement
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.server.scripts import Call


class Dividing:
    """Runs split.lua; threads may share it.

    A call that ends without an answer may simply be made again, or `finish` be called: what is divided once
    stays so.

    Args:
        connection: any client.
        script: the script as it is registered.
        keys: of a worker.
    """

    def __init__(self, connection: Redis, script: Any, keys: ScriptKeys) -> None:
        self._connection = connection
        self._script = script
        self._keys = keys

    def settlement(self, one: Settlement, division: Division, clock: float, told: Told = NOBODY) -> Call:
        """Return the call that divides a job and settles what stays in it; it replies settle.lua's word."""
        return self._call(one.lease, told, encode_division(one, division, clock))

    def shed(self, lease: Lease, division: Division) -> bool:
        """Let a job that is started have fewer entries; tell whether it is still ours. Raises RedisError."""
        return self._run(lease, "keep", encode_parts(division)) == b"done"

    def finish(self, lease: Lease) -> None:
        """Make the parts that a split which broke off has left unmade. Raises RedisError."""
        self._run(lease, "finish", encode_parts(Division(b"", 0, "", ())))

    def most(self, task: Task) -> int:
        """Return how many entries of a bulk job any worker sends together. Raises RedisError.

        What a job has beyond that is shed before SES is asked for the rest.
        """
        engine: Any = None
        if task.bulk:
            with suppress(ResponseError):
                engine = self._connection.hget(self._keys.names.campaign(task.bulk.campaign), "engine")
        if engine not in (None, b"ses"):
            return 1
        return HELD_ENTRIES if task.on_unknown == "hold" else BULK_ENTRIES

    def _run(self, lease: Lease, action: str, parts: Sequence[Any]) -> bytes:
        now = utcformat(datetime.now(UTC))
        own = [lease.job_id, lease.execution, now, "", "", action, "", *parts]
        reply: bytes = self._call(lease, NOBODY, own).run()
        return reply

    def _call(self, lease: Lease, told: Told, own: Sequence[Any]) -> Call:
        args = [self._keys.names.root, self._keys.worker_name, *told, *own]
        return Call(self._script, self._keys.settle([lease.queue]), args)
