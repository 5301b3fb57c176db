"""What claim and reclaim reply, and what settle takes, as the scripts have it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rq_ses.rqdate import utcformat
from rq_ses_worker.account.gate import View
from rq_ses_worker.lifecycle.records import Claim, Lease, Overdue, Settlement

_HEAD: Final = struct.Struct(">BBBBIII")
"""Of each job that claim hands out: queue, fresh, hooked, sizes of date, id, data and meta."""


class Claimed(NamedTuple):
    """What a claim replied."""

    claims: list[Claim]
    dropped: int
    """Dead ids that were dropped from the lists."""
    view: View
    moment: Sequence[bytes]
    """The server's time, as TIME tells it."""


def read_claimed(reply: Sequence[Any], prefix: str, first: int) -> Claimed:
    """Return what claim.lua replied, whose execution ids begin with `prefix`, numbered from `first`."""
    dropped, blob, refusal, wait, waiting, ask, failures, openings, *moment = reply
    view = View(refusal.decode(), wait / 1e6, bool(waiting), bool(ask), failures, openings)
    claims = list(_claims(blob, prefix, first, probe=refusal == b"probe"))
    return Claimed(claims, dropped, view, moment)


def _claims(blob: bytes, prefix: str, number: int, *, probe: bool) -> Iterator[Claim]:
    at = 0
    while at < len(blob):
        queue, fresh, hooked, date_size, id_size, data_size, meta_size = _HEAD.unpack_from(blob, at)
        id_end = at + _HEAD.size + id_size
        job_id = blob[at + _HEAD.size : id_end].decode()
        data = blob[id_end : id_end + data_size]
        meta = blob[id_end + data_size : id_end + data_size + meta_size]
        at = id_end + data_size + meta_size + date_size
        lease = Lease(queue, job_id, f"{prefix}{number:08x}{fresh}")
        yield Claim(lease, data, meta, bool(fresh), bool(hooked), probe, queued_at=blob[at - date_size : at])
        number += 1


def read_overdue(reply: Sequence[Any]) -> list[Overdue]:
    """Return what reclaim.lua replied."""
    return [
        Overdue(read_lease(queue, member.decode()), meta, worker.decode("utf-8", "replace"))
        for queue, member, meta, worker in reply
    ]


def read_lease(queue: int, member: str) -> Lease:
    """Return the lease that `JOB:EXECUTION` names."""
    job_id, _, execution = member.partition(":")
    return Lease(queue, job_id, execution)


def encode_settlements(settlements: Sequence[Settlement], clock: float) -> str:
    """Return settle.lua's list of settlements; `clock` is time.monotonic() now."""
    return json.dumps([_entry(settlement, clock) for settlement in settlements])


def _entry(settlement: Settlement, clock: float) -> dict[str, Any]:
    lease = settlement.lease
    entry = {
        "q": lease.queue,
        "id": lease.job_id,
        "x": lease.execution,
        "a": settlement.action,
        "ended": utcformat(settlement.ended),
        **settlement.fields,
    }
    if settlement.meta or settlement.action != "back":
        entry["meta"] = json.dumps(settlement.meta)
    if settlement.action == "retry":
        entry["age"] = max(0.0, clock - settlement.ended_clock)
    if settlement.overdue:
        entry["overdue"] = 1
    return entry
