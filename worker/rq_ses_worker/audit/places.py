"""All places of a queue's jobs, read and mended by audit.lua: each job in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from rq_ses import states
from rq_ses.keys import keys_of
from rq_ses_worker.server.scripts import TYPED, Parts, lua

SCRIPT: Final[Parts] = (TYPED, "audit/audit")

REGISTRIES: Final = (states.SCHEDULED, *states.SETTLED, states.DEFERRED)
"""The registries in which a job may rest, in the order of audit.lua's KEYS."""


class Places:
    """Where the jobs of one queue may stand.

    Args:
        connection: any client.
        queue: its name.
    """

    def __init__(self, connection: Redis, queue: str) -> None:
        keys = keys_of(connection)
        self.list: Final = keys.queue(queue)
        self.intermediate: Final = keys.intermediate(queue)
        self.started: Final = keys.registry(states.WIP, queue)
        self.leases: Final = keys.leases(queue)
        self.registries: Final = {name: keys.registry(name, queue) for name in REGISTRIES}
        self._keys = [
            *(self.list, self.intermediate, self.started, self.leases),
            *self.registries.values(),
            *(keys.workers_at(queue), keys.scratch),
        ]
        self._prefixes = (
            *(keys.job_prefix, keys.execution_prefix, keys.executions_prefix),
            *(keys.results_prefix, keys.worker_prefix),
        )
        self._script: Any = connection.register_script(lua(*SCRIPT))

    def look(self, job_id: bytes) -> bytes:
        """Return where a job stands, for placement.read_placement. Raises RedisError."""
        seen: bytes = self._script(keys=self._keys, args=[job_id, *self._prefixes, "", ""])[0]
        return seen

    def mend(self, job_id: bytes, seen: bytes, repair: Mapping[str, Any]) -> bool:
        """Put a job where it belongs, if it still stands as it was `seen`; tell whether it did.

        Raises RedisError.

        Args:
            job_id: the job.
            seen: what `look` returned.
            repair: what audit.lua writes (its ARGV 8).
        """
        args = [job_id, *self._prefixes, seen, json.dumps(repair)]
        return bool(self._script(keys=self._keys, args=args)[1] == b"repaired")
