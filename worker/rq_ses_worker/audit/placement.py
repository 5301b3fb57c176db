"""Where a job stands, whether it should, and where it belongs: pure, from what audit.lua has seen.

A job that a worker may still hold is in motion, and in order. Of any other, its places must agree with its
status; where they don't, what was surely never sent goes back to the queue, what was settled stays settled,
and what was being sent when it was lost is in doubt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rq_ses import states
from rq_ses_worker.lifecycle.records import is_ours

INTERMEDIATE: Final = 60.0
"""Seconds for which a living stock worker may keep a job in RQ's intermediate list; RQ's own minute."""

HOME: Final[Mapping[str, str]] = {
    status: registry for status, registry in states.REGISTRY.items() if status != states.STARTED
}
"""The registry in which a job of this status rests."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One entry in the started registry, or among the leases."""

    id: str
    running: bool
    """Its time has not run out."""
    worker: str
    worker_alive: bool

    @property
    def ours(self) -> bool:
        """One of our workers made it, and none of RQ's own."""
        return is_ours(self.id)


@dataclass(frozen=True, slots=True)
class Placement:
    """All places of one job, read in one step."""

    exists: bool
    status: str
    has_data: bool
    tried: bool
    """A worker has started it since it was enqueued, or requeued."""
    worker: str
    """The worker that the job names, and whether that lives."""
    worker_alive: bool
    enqueued_at: str
    """In RQ's form of a date."""
    meta: str
    queue: int
    """How many times it stands in the queue's list; the next: in RQ's intermediate list."""
    intermediate: int
    ending: bool
    """Its time to live is that of a failed mail whose place in the registry is over."""
    started: tuple[Execution, ...]
    leases: tuple[Execution, ...]
    registries: tuple[str, ...]
    living: int
    """Workers of the queue that are alive."""
    busy: str
    """The living worker that says this is its current job."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Where the job belongs, and with what status; `line` fails it with these words."""

    place: str
    status: str
    done: str
    line: str = ""
    unknown: bool = False
    """It may have been sent: the policy decides between this and failing it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a job's places; without a repair, it has to be left alone for now."""

    found: str
    repair: Repair | None


def read_placement(seen: bytes) -> Placement:
    """Return the placement that audit.lua describes."""
    *fields, started, leases, registries, living, busy = json.loads(seen.decode("utf-8", "surrogateescape"))
    exists, status, has_data, tried, worker, worker_alive, enqueued_at, meta, *counts, ending = fields
    queue, intermediate = counts
    return Placement(
        exists=exists,
        status=status,
        has_data=has_data,
        tried=tried,
        worker=worker,
        worker_alive=worker_alive,
        enqueued_at=enqueued_at,
        meta=meta,
        queue=queue,
        intermediate=intermediate,
        ending=ending,
        # Lua writes an empty list as an empty object.
        started=tuple(Execution(*entry) for entry in started),
        leases=tuple(Execution(*entry) for entry in leases),
        registries=tuple(registries),
        living=living,
        busy=busy,
    )


def judge(placement: Placement, now: datetime) -> Verdict | None:
    """Return what is wrong at `now` (aware), or None if the job stands where it belongs, or is in motion."""
    if any(lease.running for lease in placement.leases) or placement.busy:
        return None
    if placement.leases and placement.status == states.STARTED:
        return None  # its lease has run out: any worker's reclaim ends it
    if any(_held(placement, execution) for execution in placement.started):
        lost = [execution for execution in placement.started if execution.ours]
        return Verdict(f"started without a lease; its worker {lost[0].worker} lives", None) if lost else None
    if not placement.exists:
        places = _places(placement)
        return Verdict(f"its job is gone, but it stands in {places}", _FORGET) if places else None
    if placement.status in _UNSENT and not placement.has_data:
        line = "PayloadLost: the job has no data any more, so there is nothing to send"
        return Verdict(f"{placement.status}, but its payload is gone", _fail(line))
    if placement.status == states.QUEUED:
        return _queued(placement, now)
    if placement.status == states.SCHEDULED:
        return _scheduled(placement)
    if placement.status == states.STARTED:
        return _started(placement)
    if placement.status in HOME:
        return _resting(placement)
    return None if placement.status else _without_status(placement)


_UNSENT: Final = (*states.WAITING, states.STARTED)
_FORGET: Final = Repair("", "", "removed")
_QUEUE: Final = Repair("queue", states.QUEUED, "put back into the queue")


def _held(placement: Placement, execution: Execution) -> bool:
    """Tell whether a worker may be at it; a stock worker's entry has until its time runs out."""
    alive = execution.worker_alive if execution.worker else placement.worker_alive
    return alive or (execution.running and not execution.ours)


def _queued(placement: Placement, now: datetime) -> Verdict | None:
    if placement.queue:
        return _tidy(placement, "queue", placement.queue > 1)
    if states.SCHEDULED in placement.registries:
        # promote would drop it: it moves scheduled jobs alone.
        return Verdict(
            "queued, but stands in the scheduled registry alone",
            Repair(states.SCHEDULED, states.SCHEDULED, "marked as scheduled"),
        )
    settled = _settled(placement)
    if settled:
        return settled
    if placement.intermediate:
        if placement.living and _age(placement.enqueued_at, now) < INTERMEDIATE:
            return None
        return Verdict("left in RQ's intermediate list", _QUEUE)
    return Verdict("queued, but stands in no list", _QUEUE)


def _scheduled(placement: Placement) -> Verdict | None:
    if states.SCHEDULED in placement.registries:
        return _tidy(placement, states.SCHEDULED)
    settled = _settled(placement)
    if settled:
        return settled
    if placement.queue:
        # claim would drop it: it takes queued jobs alone.
        return Verdict(
            "scheduled, but stands in the queue", Repair("queue", states.QUEUED, "marked as queued")
        )
    found = "scheduled, but stands in no registry"
    if placement.tried:
        return Verdict(found, _QUEUE)
    line = "ScheduleLost: the time for which it was scheduled is lost: requeue it to send it now"
    return Verdict(found, _fail(line))


def _started(placement: Placement) -> Verdict:
    settled = _settled(placement)
    if settled:
        return settled
    if states.SCHEDULED in placement.registries:
        return Verdict(
            "started, but stands in the scheduled registry alone",
            Repair(states.SCHEDULED, states.SCHEDULED, "marked as scheduled"),
        )
    if placement.worker_alive and not placement.started:
        return Verdict(f"started, but stands nowhere; its worker {placement.worker} lives", None)
    where = _places(placement)
    found = (
        f"started, but stands in {where} and its worker is dead" if where else "started, but stands nowhere"
    )
    return Verdict(found, Repair("queue", states.QUEUED, _QUEUE.done, unknown=True))


def _resting(placement: Placement) -> Verdict | None:
    home = HOME[placement.status]
    if home in placement.registries:
        return _tidy(placement, home)
    if home == states.FAILED and placement.ending and not _places(placement):
        return None
    return Verdict(
        f"{placement.status}, but not in the {home} registry",
        Repair(home, placement.status, f"entered in the {home} registry"),
    )


def _settled(placement: Placement) -> Verdict | None:
    """Judge a job that a registry takes for settled though its status doesn't: it isn't sent again."""
    for name in states.SETTLED:
        if name in placement.registries:
            found = f"{placement.status}, but stands in the {name} registry"
            return Verdict(found, Repair(name, name, f"marked as {name}"))
    return None


def _without_status(placement: Placement) -> Verdict:
    settled = _settled(placement)
    if settled:
        return Verdict("has no status", settled.repair)
    return Verdict("has no status", _fail("StatusLost: what became of the job is not known"))


def _tidy(placement: Placement, home: str, doubled: bool = False) -> Verdict | None:
    others = _places(placement, but=home)
    if not others and not doubled:
        return None
    also = others or "twice in the queue"
    return Verdict(
        f"{placement.status}, but stands {'also in ' if others else ''}{also}",
        Repair(home, placement.status, f"left in the {home}{'' if home == 'queue' else ' registry'} alone"),
    )


def _places(placement: Placement, but: str = "") -> str:
    places = ["the queue"] if placement.queue and but != "queue" else []
    places += ["RQ's intermediate list"] if placement.intermediate else []
    places += ["the started registry"] if placement.started else []
    places += ["the leases"] if placement.leases else []
    places += [f"the {name} registry" for name in placement.registries if name != but]
    return ", ".join(places)


def _fail(line: str) -> Repair:
    return Repair(states.FAILED, states.FAILED, f"failed: {line}", line=line)


def _age(moment: str, now: datetime) -> float:
    """Return the seconds since a date in RQ's form; infinity if it is none."""
    try:
        return (now - datetime.fromisoformat(moment)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")
