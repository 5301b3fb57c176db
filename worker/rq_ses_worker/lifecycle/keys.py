"""The KEYS of a worker's scripts, each list in the order in which the script's first lines have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rq_ses import contract, states
from rq_ses.contract import SCRATCH_KEY, registry_key


class ScriptKeys:
    """KEYS of claim, settle, promote, reclaim and renew, made once for all calls.

    Args:
        queues: names, the most urgent first.
        worker_name: RQ's name of the worker.
        account: key of the account's gate.
    """

    def __init__(self, queues: Sequence[str], worker_name: str, account: str) -> None:
        self.leases: Final = [contract.leases_key(queue) for queue in queues]
        lists = [contract.queue_key(queue) for queue in queues]
        started, scheduled, finished, failed, canceled = (
            [registry_key(kind, queue) for queue in queues]
            for kind in (states.WIP, states.SCHEDULED, states.FINISHED, states.FAILED, states.CANCELED)
        )
        self.claim: Final = [
            contract.SUSPENDED_KEY,
            account,
            SCRATCH_KEY,
            *_rows(lists, started, self.leases),
        ]
        places = _rows(lists, started, self.leases, scheduled, finished, failed, canceled)
        self.settle: Final = [
            contract.WORKER_PREFIX + worker_name,
            SCRATCH_KEY,
            contract.RESULT_SCRATCH_KEY,
            *places,
        ]
        self.promote: Final = [SCRATCH_KEY, *_rows(scheduled, lists)]
        self.reclaim: Final = [SCRATCH_KEY, *self.leases]
        self.renew: Final = [SCRATCH_KEY, *_rows(started, self.leases)]

    def rename(self, worker_name: str) -> None:
        """Take another worker's name from here on."""
        self.settle[0] = contract.WORKER_PREFIX + worker_name


def _rows(*columns: Sequence[str]) -> list[str]:
    """Return the keys queue by queue; each column has one for each queue."""
    return [key for row in zip(*columns, strict=True) for key in row]
