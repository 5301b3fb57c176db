"""What claim and reclaim reply, and what settle takes, as the scripts have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from rq_ses import contract
from rq_ses.rqdate import utcformat
from rq_ses_worker.account.gate import View
from rq_ses_worker.lifecycle.records import Claim, Division, Lease, Overdue, Settlement, Word

Told = tuple[Any, Any, str]
"""The stream of outcomes, how many it holds at most, and what hooks are told."""

NOBODY: Final[Told] = ("", "", "")
"""Where nobody is told."""

_UNFINISHED: Final = 128
"""Beside the entries of a bulk job of which a split isn't complete."""


class Claimed(NamedTuple):
    """What a claim replied."""

    claims: list[Claim]
    dropped: int
    """Dead ids that were dropped from the lists."""
    view: View
    moment: Sequence[str]
    """The server's time, as TIME tells it."""
    listed: bool
    """Addresses are suppressed."""
    aside: int = 0
    """Jobs of campaigns that are paused or canceled, which were set aside."""
    waiting: int = 0
    """Jobs that wait, as far as they were counted."""
    tokens: int = 0
    """In a partition: tokens left."""
    need: int = 1
    """In a partition: tokens that the next mail takes."""


def read_claimed(reply: Sequence[Any], execution: str) -> Claimed:
    """Return what claim.lua replied, whose execution ids are `execution` and a last digit."""
    text, dates, data, place, listed, *rest = reply
    changes, more, dropped, aside, refusal, wait, waiting, *gate = rest or _NOTHING_ELSE
    ask, failures, openings, *tokens = gate
    view = View(refusal.decode(), wait / 1e6, bool(waiting), bool(ask), failures, openings)
    places = dict(zip(changes[::2], changes[1::2], strict=True))
    claims: list[Claim] = []
    seconds, microseconds, *ids = text.decode().split()
    fresh, probe = f"{execution}1", refusal == b"probe"
    for number, (job_id, payload) in enumerate(zip(ids, data, strict=True)):
        place = places.get(number, place) if places else place
        date = dates[number * contract.DATE_SIZE : (number + 1) * contract.DATE_SIZE]
        claims.append(Claim(Lease(place, job_id, fresh), payload, b"", True, False, probe, date))
    for number, *unusual in more:
        claims[number] = _unusual(claims[number], execution, *unusual)
    return Claimed(claims, dropped, view, (seconds, microseconds), bool(listed), aside, waiting, *tokens)


_NOTHING_ELSE: Final[Any] = ((), (), 0, 0, b"", 0, 0, 0, 0, 0)
"""What claim.lua leaves out of its reply where nothing is unusual."""


def _unusual(
    claim: Claim, execution: str, fresh: int, hooked: int, granted: int, meta: bytes, queued_at: bytes
) -> Claim:
    return claim._replace(
        lease=claim.lease._replace(execution=f"{execution}{fresh}"),
        meta=meta,
        fresh=bool(fresh),
        hooked=bool(hooked),
        queued_at=queued_at,
        granted=granted % _UNFINISHED,
        unfinished=granted >= _UNFINISHED,
    )


def read_overdue(reply: Sequence[Any]) -> list[Overdue]:
    """Return what reclaim.lua replied."""
    return [
        Overdue(read_lease(queue, member.decode()), meta, worker.decode("utf-8", "replace"), recipients)
        for queue, member, meta, worker, recipients in reply
    ]


def read_lease(queue: int, member: str) -> Lease:
    """Return the lease that `JOB:EXECUTION` names."""
    job_id, _, execution = member.partition(":")
    return Lease(queue, job_id, execution)


_AT_ONCE: Final = {"attempts": 1}
"""The meta of most mails: json takes longer to write it than all else of a settlement."""

_AT_ONCE_TEXT: Final = json.dumps(_AT_ONCE)


class Encoded(NamedTuple):
    """Settlements as settle.lua takes them."""

    queues: list[int]
    """Places of the queues that they speak of."""
    args: list[Any]
    order: list[int]
    """Which of the settlements each of its words is about."""


def encode_settlements(
    settlements: Sequence[Settlement], clock: float, told: Callable[[Settlement], str] | None = None
) -> Encoded:
    """Return settle.lua's arguments for settlements; `clock` is time.monotonic() now.

    What they have in common is said once for all that have it: most of a batch are of one queue, and sent.
    `told` makes the text of an outcome, if somebody is told of outcomes.
    """
    groups: dict[tuple[int, str, str, str, str, int], list[int]] = {}
    for number, one in enumerate(settlements):
        campaign, entries = (one.bulk.campaign, one.bulk.entries) if one.bulk else ("", 1)
        asks = "overdue" if one.overdue else "lapsed" if one.lapsed else ""
        group = (one.lease.queue, asks, one.action, _meta(one), campaign, entries)
        groups.setdefault(group, []).append(number)
    queues = list(dict.fromkeys(queue for queue, *_ in groups))
    args: list[Any] = []
    for (queue, *common), members in groups.items():
        tell = told if common[1] in ("sent", "failed") else None
        args += (queues.index(queue), *common, len(members))
        for number in members:
            args += _values(settlements[number], clock)
            if tell:
                args.append(tell(settlements[number]))
    return Encoded(queues, args, [number for members in groups.values() for number in members])


def encode_division(one: Settlement, division: Division, clock: float) -> list[Any]:
    """Return split.lua's own arguments for the settlement of a bulk job that is divided."""
    job_id, execution, ended, *own = _values(one, clock)
    return [
        *(job_id, execution, ended, *own, *([""] * (2 - len(own))), one.action, _meta(one)),
        *encode_parts(division, max(0.0, clock - one.ended_clock)),
    ]


def encode_parts(division: Division, since: float = 0.0) -> list[Any]:
    """Return split.lua's last arguments: what stays, and the parts, `since` seconds after the attempt."""
    args: list[Any] = [division.data, division.entries, division.sent, division.campaign]
    for part in division.parts:
        own = [*_own(part.action, part.fields, since), "", ""][:2]
        args += (part.job_id, part.action, json.dumps(part.meta) if part.meta else "", *own)
        args += (part.data, part.entries, part.description)
    return args


def _meta(one: Settlement) -> str:
    if one.meta == _AT_ONCE:
        return _AT_ONCE_TEXT
    return json.dumps(one.meta) if one.meta or one.action != "back" else ""


def _values(one: Settlement, clock: float) -> tuple[Any, ...]:
    own = _own(one.action, one.fields, max(0.0, clock - one.ended_clock))
    return one.lease.job_id, one.lease.execution, utcformat(one.ended), *own


def _own(action: str, fields: dict[str, Any], since: float) -> tuple[str, ...]:
    """Return the values of an action's own; a delay counts from the attempt's end, `since` seconds ago."""
    match action:
        case "sent":
            return (fields["result"],)
        case "retry":
            return (f"{max(0.0, fields['delay'] - since):.6f}",)
        case "failed":
            return fields["exc"], fields["exc_string"]
        case _ if "entries" in fields:
            return (f"={fields['entries']}",)
        case _:
            return ("1" if fields.get("fresh") else "",)


def read_settled(reply: Any, order: Sequence[int]) -> list[Word]:
    """Return the words that settle.lua replied, in the order of the settlements."""
    if isinstance(reply, bytes):
        word: Any = reply.decode()
        return [word] * len(order)
    words: list[Any] = [""] * len(order)
    for number, word in zip(order, reply, strict=True):
        words[number] = word.decode()
    return words
