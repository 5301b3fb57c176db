"""What the transitions give and take: a lease, a claim, an overdue execution, a settlement."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args
from zlib import compress

from pydantic_core import to_json

from rq_ses.suppression import Suppressed
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import Outcome, Terminal

_EXECUTION: Final = re.compile(r"[0-9A-Za-z]{8}[0-9a-f]{1,8}[01]|[0-9a-f]{24}[01]")
"""An execution's id as claim.lua makes it: the process's prefix, the claim's number, and 1 where the job is
fresh; and as builds before made it. RQ's own ids are uuids."""

Action = Literal["sent", "retry", "failed", "back"]
"""What settle does with a mail: a receipt, a later try, the failed registry, or the front of its queue."""

Word = Literal["done", "late", "lost", "canceled", "accepted", "told", "vanished", "broken"]
"""What became of a settlement (settle.lua)."""


class Suspended(Exception):
    """Raised by `claim` while RQ's workers are suspended, by `rq suspend` or, `moving`, by a move."""

    def __init__(self, *, moving: bool = False) -> None:
        super().__init__()
        self.moving = moving


def is_ours(execution: str) -> bool:
    """Tell whether one of our workers has given an execution this id, and none of RQ's own."""
    return _EXECUTION.fullmatch(execution) is not None


def is_fresh(execution: str) -> bool:
    """Tell whether nobody had tried the job when this execution of ours was claimed (Claim.fresh)."""
    return execution.endswith("1")


_NONE: Final[Mapping[str, Suppressed]] = MappingProxyType({})


class Lease(NamedTuple):
    """One execution of one job, held by one worker until its time runs out."""

    queue: int
    """Place of the queue among the worker's queues."""
    job_id: str
    execution: str
    """The execution's id (is_ours)."""

    @property
    def member(self) -> str:
        """`JOB:EXECUTION`: its name in the started registry, among the leases, and of its hash."""
        return f"{self.job_id}:{self.execution}"

    @property
    def fresh(self) -> bool:
        """Nobody had tried the job when it was claimed."""
        return is_fresh(self.execution)


class Claim(NamedTuple):
    """A job this worker has started."""

    lease: Lease
    data: bytes
    """The call as RQ stores it: JSON, plain or zlib."""
    meta: bytes
    """The job's meta, JSON; b"" where it has none."""
    fresh: bool
    """Nobody has tried it since it was enqueued, or requeued by RQ's own means."""
    hooked: bool
    """It carries callbacks or webhooks."""
    probe: bool = False
    """The breaker is open, and how this attempt ends decides."""
    queued_at: bytes = b""
    """When it was enqueued, or fell due, in RQ's form of a date; b"" is unknown."""
    granted: int = 0
    """Of a bulk job: entries that the gate let pass, which may be sent together; 0 of a mail."""
    unfinished: bool = False
    """A split of it isn't complete (Dividing.finish)."""
    task: Task | Terminal | None = None
    """What it asks for, where that was read already to ask the suppression list."""
    suppressed: Mapping[str, Suppressed] = _NONE
    """Those of its recipients that are on the list, by their normal forms."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A job whose lease ran out: its worker died, or was away for too long."""

    lease: Lease
    meta: bytes
    """The job's meta, JSON; b"" where it has none."""
    worker: str
    """RQ's name of the worker that held it."""
    recipients: bytes = b""
    """How many its hash says that it has; b"" where it says nothing."""


class Part(NamedTuple):
    """A job that some of a bulk job's entries go on as; `fields` and `meta` as a Settlement's."""

    job_id: str
    action: Literal["sent", "retry", "failed", "front"]
    """As a Settlement's; `front`: into the front of the queue, as it was before the attempt."""
    meta: dict[str, Any]
    fields: dict[str, Any]
    data: bytes
    entries: int
    description: str


class Division(NamedTuple):
    """How a bulk job is divided: what stays in it, and the parts."""

    data: bytes
    """The job's `data` from then on."""
    entries: int
    """Entries that stay in it."""
    campaign: str
    parts: tuple[Part, ...]
    sent: int = 0
    """Entries that were sent, in all."""


class Delivery(NamedTuple):
    """An entry that SES has accepted."""

    entry_id: str
    to: str
    message_id: str | None


class Bulk(NamedTuple):
    """What a settlement says of a bulk job beside what it says of any."""

    campaign: str
    entries: int
    """How many entries the attempt was about."""
    outcomes: tuple[tuple[Outcome, int], ...] = ()
    """How SES answered, and to how many of them; nothing if it wasn't asked."""
    deliveries: tuple[Delivery, ...] = ()
    division: Division | None = None
    """Entries that had other fates than those that stay in the job."""


class Settlement(NamedTuple):
    """How an execution ended, ready to be written; `fields` are those of settle.lua for its action."""

    lease: Lease
    action: Action
    ended: datetime
    """When the attempt ended, by the server's clock, in UTC."""
    meta: dict[str, Any]
    """What the job's meta becomes; `back` with an empty one leaves it as it is."""
    fields: dict[str, Any]
    ended_clock: float = 0.0
    """time.monotonic() at the end of the attempt: a retry's delay counts from there."""
    overdue: bool = False
    """It ends an execution whose lease ran out, and only while that is so."""
    seconds: float = 0.0
    """Time the attempt took."""
    outcome: Outcome | None = None
    """How SES answered; None if it wasn't asked."""
    probe: bool = False
    to: Sequence[str] = ()
    """The mail's recipients, for the log."""
    bulk: Bulk | None = None
    """Of a bulk job."""
    lapsed: bool = False
    """By its worker's clock its lease may have run out, and another may have the job in hand."""


def ended(bulk: Bulk, settlement: Settlement) -> dict[Action, int]:
    """Return how many entries of a bulk job ended in each way."""
    counts: dict[Action, int] = dict.fromkeys(get_args(Action), 0)
    counts[settlement.action] += bulk.division.entries if bulk.division else bulk.entries
    for part in bulk.division.parts if bulk.division else ():
        if part.action != "front":
            counts[part.action] += part.entries
    return counts


def sent_fields(result: object) -> dict[str, Any]:
    """Return settle.lua's fields for a mail that was sent: RQ's Result with `result` as return value."""
    return {"result": b64encode(to_json(result)).decode()}


def failed_fields(line: str) -> dict[str, Any]:
    """Return settle.lua's fields for a mail that failed with `line`."""
    return {"exc": line, "exc_string": b64encode(compress(line.encode())).decode()}
