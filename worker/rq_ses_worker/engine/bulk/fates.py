"""What becomes of the entries of a bulk job, each by SES's answer to it; pure.

Entries with one fate stay in the job, which is settled as a mail is; those with another go on as parts:

    sent            stay, if there are any: the job becomes their receipt
    rate limited    one part, which is tried again when that is due
    transient       another
    dead, or held   a part each: a dead letter has one recipient

A part's id is that of its first entry. So where a job is such a part itself, its first entry stays in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rq_ses import contract
from rq_ses.campaign.bulkjob import BulkJob, QueuedEntry, encode, encode_plain
from rq_ses.message.address import bare
from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.scope import account_cause
from rq_ses_worker.campaign.mailing import RENDERING_FAILURE
from rq_ses_worker.engine.attempt import Attempt, Decision, Ending, Finished, action_of, judge, settlement
from rq_ses_worker.lifecycle.records import (
    Bulk,
    Claim,
    Delivery,
    Division,
    Part,
    Settlement,
)
from rq_ses_worker.lifecycle.retry import Failed
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient


class Moment(NamedTuple):
    """When an attempt ended (Ending), and how long it took."""

    at: float
    clock: float
    seconds: float


class Fate(NamedTuple):
    """Entries that fare alike."""

    entries: list[QueuedEntry]
    ending: Ending
    decision: Decision


def settled(
    claim: Claim, task: Task, job: BulkJob, attempt: Attempt, outcomes: Sequence[Outcome], moment: Moment
) -> Settlement:
    """Return what is to be written of an attempt of a bulk job, whose entries fared so, in their order."""
    deliveries = tuple(
        Delivery(entry.id, entry.to, _inert(outcome.message_id))
        for entry, outcome in zip(job.entries, outcomes, strict=True)
        if type(outcome) is Sent
    )
    answers = asked(outcomes)
    if len(deliveries) == len(answers) == len(outcomes):
        # What becomes of most: there is nothing to divide, nor to decide.
        ending = attempt.ended(outcomes[0], moment.at, moment.clock, moment.seconds)
        bulk = Bulk(job.campaign, len(outcomes), ((outcomes[0], len(outcomes)),), deliveries)
        return settlement(claim.lease, attempt, ending, Finished(_result(job.campaign, deliveries)), bulk)
    fates = _fates(job, attempt, outcomes, moment, deliveries)
    division = None
    stays = fates[0]
    if len(fates) > 1:
        stays = _staying(claim.lease.job_id, fates)
        parts = [_part(task, job, fate) for fate in fates if fate is not stays]
        kept = job.part(stays.entries)
        division = Division(
            encode(kept, task.options), len(kept.entries), job.campaign, tuple(parts), len(deliveries)
        )
    bulk = Bulk(job.campaign, len(job.entries), _counted(answers), deliveries, division)
    whole = settlement(claim.lease, attempt, stays.ending, stays.decision)
    return whole._replace(bulk=bulk, outcome=telling(answers) if answers else None)


def shed(job: BulkJob, options: Mapping[str, Any], keep: int, size: int) -> Division:
    """Return how a job is divided whose first entries alone are sent now: the others wait in front, as parts.

    `keep` entries stay, and each part has `size` at most.
    """
    parts = [job.part(job.entries[at : at + size]) for at in range(keep, len(job.entries), size)]
    # Single entries are to be claimed at once: to deflate them takes longer than it saves.
    encoded = encode_plain if size == 1 else encode
    return Division(
        encode(job.part(job.entries[:keep]), options),
        keep,
        job.campaign,
        tuple(
            Part(
                part.entries[0].id, "front", {}, {}, encoded(part, options), len(part.entries), describe(part)
            )
            for part in parts
        ),
    )


def describe(job: BulkJob) -> str:
    """Return what RQ's tools show of a job: its recipients, and its campaign."""
    return contract.description([bare(entry.to) for entry in job.entries], job.campaign)


def asked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return those that SES has a part in: the others say nothing of it, nor of the account."""
    return [one for one in outcomes if one.status is not None or (type(one), one.code) not in _OURS]


_OURS: Final = frozenset(
    {
        (Terminal, contract.SUPPRESSED),
        (Terminal, RENDERING_FAILURE),
        # An event has told of it before (engine.bulk.told).
        (Sent, None),
    }
)


def telling(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome that stands for all: the one that says most of the account."""
    first = outcomes[0]
    if all(type(outcome) is Sent for outcome in outcomes):
        return first
    return min(outcomes, key=_rank)


def _rank(outcome: Outcome) -> int:
    if account_cause(outcome) is not None:
        return -1
    if isinstance(outcome, RateLimited):
        return 1
    if isinstance(outcome, Sent):
        return 2
    return 3 if isinstance(outcome, Transient) else 4


def _fates(
    job: BulkJob,
    attempt: Attempt,
    outcomes: Sequence[Outcome],
    moment: Moment,
    deliveries: Sequence[Delivery],
) -> list[Fate]:
    """Return the entries by their fates: in the order in which one of them stays in the job."""
    groups: dict[object, tuple[list[QueuedEntry], list[Outcome]]] = {}
    for entry, outcome in zip(job.entries, outcomes, strict=True):
        entries, alike = groups.setdefault(_likeness(outcome), ([], []))
        entries.append(entry)
        alike.append(outcome)
    fates: list[Fate] = []
    for entries, alike in sorted(groups.values(), key=lambda group: _ORDER.get(type(group[1][0]), 3)):
        answers = asked(alike)
        outcome = (answers or alike)[0]
        ending = attempt.ended(outcome, moment.at, moment.clock, moment.seconds, asked=bool(answers))
        decision = judge(attempt, ending)
        if isinstance(decision, Finished):
            decision = Finished(_result(job.campaign, deliveries))
        if isinstance(decision, Failed) and (len(groups) > 1 or outcome.ambiguous):
            fates += [Fate([entry], ending, decision) for entry in entries]
        else:
            fates.append(Fate(entries, ending, decision))
    return fates


_ORDER: Final[dict[type[Outcome], int]] = {Sent: 0, RateLimited: 1, Transient: 2}


def _likeness(outcome: Outcome) -> object:
    """Return what is the same for outcomes after which entries go on together."""
    if isinstance(outcome, Sent):
        return Sent
    if isinstance(outcome, RateLimited | Transient):
        return type(outcome), outcome.ambiguous, isinstance(outcome, RateLimited) and outcome.quota
    return outcome


def _staying(job_id: str, fates: list[Fate]) -> Fate:
    for fate in fates:
        if any(entry.id == job_id for entry in fate.entries):
            return fate
    return fates[0]


def _part(task: Task, job: BulkJob, fate: Fate) -> Part:
    part = job.part(fate.entries)
    action, fields = action_of(fate.decision)
    return Part(
        part.entries[0].id,
        "front" if action == "back" else action,
        fate.ending.meta,
        fields,
        encode(part, task.options),
        len(part.entries),
        describe(part),
    )


def _result(campaign: str, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """Return RQ's result of a job whose entries were sent."""
    return {
        "campaign": campaign,
        "entries": [[sent.to, "SUCCESS", sent.message_id] for sent in deliveries],
    }


def _inert(message_id: str | None) -> str | None:
    if message_id is None or _PLAIN_ID.fullmatch(message_id):
        return message_id
    return one_line(message_id, 120)


_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.@-]{1,120}")


def _counted(outcomes: Sequence[Outcome]) -> tuple[tuple[Outcome, int], ...]:
    counts: dict[object, list[Any]] = {}
    for outcome in outcomes:
        kind = Sent if type(outcome) is Sent else (type(outcome), outcome.code)
        counts.setdefault(kind, [outcome, 0])[1] += 1
    return tuple((outcome, count) for outcome, count in counts.values())
