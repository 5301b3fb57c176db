"""What stands for a campaign whose entries were enqueued."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CampaignReceipt:
    """What `send_bulk` returns.

    Attributes:
        name: the campaign's.
        enqueued: how many entries this call has enqueued.
        duplicates: how many were enqueued before, by an earlier call or earlier in this one.
        unused: names of data that the template has no place for: at most a hundred of them.
    """

    name: str
    enqueued: int = 0
    duplicates: int = 0
    unused: tuple[str, ...] = ()
