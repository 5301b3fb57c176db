"""The executions this process holds, as far as it knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rq_ses_worker.lifecycle.records import Lease

_RECOVERY: Final = 6.0


class Leases:
    """A table of leases and the moments (time.monotonic()) until which they surely stand.

    A lease is entered when it is claimed and leaves when its outcome is settled. Threads may share it: each
    method is one operation on a dict, atomic in CPython.
    """

    def __init__(self, length: float) -> None:
        self.length: Final = length
        self._until: dict[Lease, float] = {}

    @property
    def recovery(self) -> float:
        """Seconds after trouble with Redis in which living workers have surely renewed their leases."""
        return min(_RECOVERY, self.length)

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._until

    def add(self, lease: Lease, since: float) -> None:
        """Enter a lease that was taken or extended no earlier than `since`."""
        self._until[lease] = since + self.length

    def drop(self, lease: Lease) -> None:
        """Forget a lease that has been settled, or given up."""
        self._until.pop(lease, None)

    def extend(self, leases: Iterable[Lease], since: float) -> None:
        """Note that those of `leases` that are still held were extended no earlier than `since`."""
        for lease in leases:
            if lease in self._until:
                self._until[lease] = since + self.length

    def stands(self, lease: Lease, now: float) -> bool:
        """Tell whether nobody else can have taken this lease's job by `now`."""
        return now < self._until.get(lease, 0.0)

    def held(self) -> list[Lease]:
        """Return the leases as they are now."""
        return list(self._until)
