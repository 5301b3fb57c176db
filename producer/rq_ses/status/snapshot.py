"""How everything stood at one moment; seconds and epoch seconds by Redis's clock, None is not known."""

from __future__ import annotations

from dataclasses import dataclass

from rq_ses.gate import GateState
from rq_ses.status.campaigns import CampaignState
from rq_ses.status.unserved import Unserved


@dataclass(frozen=True, slots=True)
class QueueState:
    """One RQ queue; a count of None stands for a key that can't be read, or isn't of RQ's type."""

    name: str
    queued: int | None
    started: int | None
    scheduled: int | None
    failed: int | None
    oldest: float | None
    """Seconds for which the oldest mail at the queue's front has been queued; 0 if there is none."""
    next_due: float | None
    """Seconds until the first scheduled mail is due; None if none is."""
    canceled: int | None = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker of these queues, ours or RQ's own, as it registered; counts are since its start."""

    name: str
    host: str
    pid: int | None
    state: str
    queues: tuple[str, ...]
    born: float | None
    silent: float | None
    """Seconds since its last heartbeat."""
    sent: int
    failed: int
    retried: int
    seconds: float
    """Spent in attempts, over all threads."""
    current: int
    """Mails it holds."""
    threads: int | None
    """That send; None for a worker of RQ's own."""
    account: str
    """The SES account it sends through, "" if it doesn't say; `region` likewise."""
    region: str


@dataclass(frozen=True, slots=True)
class CurrentMail:
    """A mail that a worker holds: it is being sent, or its outcome is being written."""

    job_id: str
    queue: str
    worker: str
    description: str
    seconds: float | None
    """Since it was claimed."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition of the queues."""

    prefix: str
    suspended: bool
    workers: int
    """That are at these queues in it."""
    queues: tuple[QueueState, ...]
    moving: bool = False
    """It is `rq-ses partitions move` that suspended it."""


@dataclass(frozen=True, slots=True)
class Untold:
    """Something that Redis refused to tell, its words for that, and what is to be done about it."""

    what: str
    reason: str
    remedy: str
    partition: str = ""
    """Prefix of the partition that it is of; "" if the queues have none."""

    def __str__(self) -> str:
        return f"{self.partition}: {self.what}" if self.partition else self.what


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    now: float
    suspended: bool
    queues: tuple[QueueState, ...]
    workers: tuple[WorkerState, ...]
    other_workers: int
    """Registered for other queues alone."""
    gates: tuple[GateState, ...]
    mails: tuple[CurrentMail, ...]
    """Held for longest first; no more than were asked for."""
    unserved: tuple[Unserved, ...] = ()
    """Queues of mails, these or others, that no worker is at."""
    served: tuple[str, ...] = ()
    """Accounts that living workers send through, whatever their queues: `NAME:REGION`."""
    refused: tuple[Untold, ...] = ()
    """What Redis refused to tell: a key is of another type, say, or a right is missing."""
    partitions: tuple[PartitionState, ...] = ()
    """What makes the sums, in order; none if the queues have no partitions."""
    moving: bool = False
    """It is `rq-ses partitions move` that suspended them, here or in some partition."""
    campaigns: tuple[CampaignState, ...] = ()
    """Those that have entries left: queues count their jobs, of up to fifty entries each."""
