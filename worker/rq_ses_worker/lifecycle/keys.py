"""The KEYS of a worker's scripts, each list in the order in which the script's first lines have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rq_ses import states
from rq_ses.keys import Keys


class ScriptKeys:
    """KEYS of claim, settle, split, promote, reclaim and renew, made once for all calls.

    Args:
        keys: of the client that runs them.
        queues: names, the most urgent first.
        worker_name: RQ's name of the worker.
        account: key of the account's gate.
    """

    def __init__(self, keys: Keys, queues: Sequence[str], worker_name: str, account: str) -> None:
        self.names: Final = keys
        self.worker_name = worker_name
        self.leases: Final = [keys.leases(queue) for queue in queues]
        lists = [keys.queue(queue) for queue in queues]
        started, scheduled, finished = (
            [keys.registry(kind, queue) for queue in queues]
            for kind in (states.WIP, states.SCHEDULED, states.FINISHED)
        )
        self.claim: Final = [keys.suspended, keys.suppressed, *lists, account, keys.scratch]
        self._places = list(zip(lists, started, self.leases, finished, strict=True))
        self.promote: Final = [keys.scratch, *_rows(scheduled, lists)]
        self.reclaim: Final = [keys.scratch, *self.leases]
        self.renew: Final = [keys.scratch, *_rows(started, self.leases)]

    def rename(self, worker_name: str) -> None:
        """Take another worker's name from here on."""
        self.worker_name = worker_name

    def take_turns(self) -> None:
        """Claim by the partition's turns from here on: the account's gate stands elsewhere."""
        self.claim[-2] = self.names.turns

    def settle(self, queues: Sequence[int]) -> list[str]:
        """Return settle's, and split's, for settlements of these queues (their places)."""
        scratch = (self.names.scratch, self.names.result_scratch)
        return [*scratch, *(key for queue in queues for key in self._places[queue])]


def _rows(*columns: Sequence[str]) -> list[str]:
    """Return the keys queue by queue; each column has one for each queue."""
    return [key for row in zip(*columns, strict=True) for key in row]
