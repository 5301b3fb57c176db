"""All places of a queue's jobs, read and mended by audit.lua: each job in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from rq_ses import contract, states
from rq_ses_worker.server.scripts import TYPED, Parts, lua

SCRIPT: Final[Parts] = (TYPED, "audit/audit")

REGISTRIES: Final = (states.SCHEDULED, *states.SETTLED, states.DEFERRED)
"""The registries in which a job may rest, in the order of audit.lua's KEYS."""

_NAMES: Final = (
    contract.JOB_PREFIX,
    contract.EXECUTION_PREFIX,
    contract.EXECUTIONS_PREFIX,
    contract.RESULTS_PREFIX,
    contract.WORKER_PREFIX,
    contract.EXECUTION_FIELD,
)


class Places:
    """Where the jobs of one queue may stand.

    Args:
        connection: any client.
        queue: its name.
    """

    def __init__(self, connection: Redis, queue: str) -> None:
        self.list: Final = contract.queue_key(queue)
        self.intermediate: Final = contract.intermediate_key(queue)
        self.started: Final = contract.registry_key(states.WIP, queue)
        self.leases: Final = contract.leases_key(queue)
        self.registries: Final = {name: contract.registry_key(name, queue) for name in REGISTRIES}
        self._keys = [
            *(self.list, self.intermediate, self.started, self.leases),
            *self.registries.values(),
            *(contract.workers_key(queue), contract.SCRATCH_KEY),
        ]
        self._script: Any = connection.register_script(lua(*SCRIPT))

    def look(self, job_id: bytes) -> bytes:
        """Return where a job stands, for placement.read_placement. Raises RedisError."""
        seen: bytes = self._script(keys=self._keys, args=[job_id, *_NAMES, "", ""])[0]
        return seen

    def mend(self, job_id: bytes, seen: bytes, repair: Mapping[str, Any]) -> bool:
        """Put a job where it belongs, if it still stands as it was `seen`; tell whether it did.

        Raises RedisError.

        Args:
            job_id: the job.
            seen: what `look` returned.
            repair: what audit.lua writes (its ARGV 9).
        """
        args = [job_id, *_NAMES, seen, json.dumps(repair)]
        return bool(self._script(keys=self._keys, args=args)[1] == b"repaired")
