"""What claim and reclaim reply, and what settle takes, as the scripts have it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rq_ses.rqdate import utcformat
from rq_ses_worker.account.gate import View
from rq_ses_worker.lifecycle.records import Claim, Lease, Overdue, Settlement, Word

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
    listed: bool
    """Addresses are suppressed."""
    waiting: int = 0
    """Jobs that wait, as far as they were counted."""
    tokens: int = 0
    """In a partition: tokens left."""
    need: int = 1
    """In a partition: tokens that the next mail takes."""


def read_claimed(reply: Sequence[Any], prefix: str, first: int) -> Claimed:
    """Return what claim.lua replied, whose execution ids begin with `prefix`, numbered from `first`."""
    dropped, blob, refusal, wait, waiting, ask, failures, openings, *rest = reply
    view = View(refusal.decode(), wait / 1e6, bool(waiting), bool(ask), failures, openings)
    claims = list(_claims(blob, prefix, first, probe=refusal == b"probe"))
    return Claimed(claims, dropped, view, rest[:2], bool(rest[2]), waiting, *rest[3:])


def _claims(blob: bytes, prefix: str, number: int, *, probe: bool) -> Iterator[Claim]:
    at = 0
    while at < len(blob):
        queue, fresh, hooked, date_size, id_size, data_size, meta_size = _HEAD.unpack_from(blob, at)
        id_end = at + _HEAD.size + id_size
        job_id = blob[at + _HEAD.size : id_end].decode()
        data = blob[id_end : id_end + data_size]
        meta = blob[id_end + data_size : id_end + data_size + meta_size]
        at = id_end + data_size + meta_size + date_size
        lease = Lease(queue, job_id, f"{prefix}{number:x}{fresh}")
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


class Encoded(NamedTuple):
    """Settlements as settle.lua takes them."""

    queues: list[int]
    """Places of the queues that they speak of."""
    args: list[Any]
    order: list[int]
    """Which of the settlements each of its words is about."""


def encode_settlements(settlements: Sequence[Settlement], clock: float) -> Encoded:
    """Return settle.lua's arguments for settlements; `clock` is time.monotonic() now.

    What they have in common is said once for all that have it: most of a batch are of one queue, and sent.
    """
    groups: dict[tuple[int, str, str, str], list[int]] = {}
    for number, one in enumerate(settlements):
        meta = json.dumps(one.meta) if one.meta or one.action != "back" else ""
        group = (one.lease.queue, "1" if one.overdue else "", one.action, meta)
        groups.setdefault(group, []).append(number)
    queues = list(dict.fromkeys(queue for queue, *_ in groups))
    args: list[Any] = []
    for (queue, overdue, action, meta), members in groups.items():
        args += (queues.index(queue), overdue, action, meta, len(members))
        for number in members:
            args += _values(settlements[number], clock)
    return Encoded(queues, args, [number for members in groups.values() for number in members])


def _values(one: Settlement, clock: float) -> tuple[Any, ...]:
    lease, fields = one.lease, one.fields
    own: tuple[str, ...]
    match one.action:
        case "sent":
            own = (fields["result"],)
        case "retry":
            own = (f"{max(0.0, fields['delay'] - max(0.0, clock - one.ended_clock)):.6f}",)
        case "failed":
            own = (fields["exc"], fields["exc_string"])
        case "back":
            own = ("1" if fields.get("fresh") else "",)
    return lease.job_id, lease.execution, utcformat(one.ended), *own


def read_settled(reply: Any, order: Sequence[int]) -> list[Word]:
    """Return the words that settle.lua replied, in the order of the settlements."""
    if isinstance(reply, bytes):
        word: Any = reply.decode()
        return [word] * len(order)
    words: list[Any] = [""] * len(order)
    for number, word in zip(order, reply, strict=True):
        words[number] = word.decode()
    return words
