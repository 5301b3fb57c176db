"""What stands for a mail, or a campaign, that is enqueued."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `send` returns: the job that carries the mail, and whether it was there before.

    Attributes:
        job_id: RQ's id of the job.
        duplicate: an earlier call under the same key enqueued it; this one changed nothing.
        conflict: that earlier call's message differs from this one's, which is not sent (on_conflict="keep").
    """

    job_id: str
    duplicate: bool = False
    conflict: bool = False


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
