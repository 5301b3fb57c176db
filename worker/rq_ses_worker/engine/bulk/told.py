"""Entries of a bulk job in doubt that SES has by what its events tell: they are sent, and not sent again.

An event carries its entry's id, and not that of the job that the entry is in. So it can't settle the job as a
mail's event does (rq_ses/feedback/resolve.lua), and the job asks instead: before entries in doubt are sent
again, and once an answer was lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.campaign.bulkjob import BulkJob, QueuedEntry
from rq_ses.contract import FEEDBACK_TTL, RESENT_FIELD
from rq_ses.keys import keys_of
from rq_ses.server.stored import date
from rq_ses.text.plaintext import one_line
from rq_ses.tracking import STATE_OF
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.ses.outcome import Outcome, Sent

_SKEW: Final = 3600.0
"""Seconds by which hosts' clocks may differ, as resolve.lua grants them."""


def told_of(connection: Redis, job_id: str, entries: Sequence[QueuedEntry]) -> dict[str, Outcome]:
    """Return how entries ended that SES is known to have, by their ids. Raises RedisError.

    They have no status, for SES wasn't asked now. What was told of an earlier campaign of that name doesn't
    count, nor, of an entry that is alone in its job, what was told of a copy before somebody had it resent.
    """
    keys = keys_of(connection)
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.hmget(keys.job(job_id), "created_at", RESENT_FIELD)
        for entry in entries:
            pipeline.hvals(keys.events(entry.id))
        (created, resent), *stored = pipeline.execute()
    made = date(created)
    since = made.timestamp() - _SKEW if made else float("inf")
    if len(entries) == 1:
        since = max(since, _number(resent))
    found = {entry.id: _message_id(values, since) for entry, values in zip(entries, stored, strict=True)}
    return {name: Sent(message_id=message_id) for name, message_id in found.items() if message_id}


def corrected(
    connection: Redis, job_id: str, entries: Sequence[QueuedEntry], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Return outcomes with those in doubt as sent of which events have told meanwhile."""
    if not any(outcome.ambiguous for outcome in outcomes):
        return list(outcomes)
    try:
        told = told_of(connection, job_id, entries)
    except RedisError:
        return list(outcomes)
    # These answer to the request that was just made.
    return [
        replace(told[entry.id], status=200) if outcome.ambiguous and entry.id in told else outcome
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]


def lead(connection: Redis, job_id: str, job: BulkJob, ended: Settlement) -> None:
    """Let an event lead to an entry that is held, in doubt and alone, in a job whose id isn't its own."""
    if ended.action != "failed" or not ended.meta.get("ambiguous"):
        return
    parts = ended.bulk.division.parts if ended.bulk and ended.bulk.division else ()
    left = {entry.id for entry in job.entries} - {part.job_id for part in parts}
    if len(left) == 1 and job_id not in left:
        with suppress(RedisError):
            connection.set(keys_of(connection).message(left.pop()), job_id, ex=FEEDBACK_TTL)


def _message_id(values: Iterable[bytes], since: float) -> str:
    """Return SES's id of the first copy that it has accepted since; "" if there is none."""
    first: dict[str, float] = {}
    for told in map(_event, values):
        name, at = told.get("message_id"), _number(told.get("at"))
        if isinstance(name, str) and name and told.get("kind") in STATE_OF:
            first[name] = min(at, first.get(name, at))
    accepted = [name for name, at in sorted(first.items(), key=lambda pair: pair[1]) if at >= since]
    return one_line(accepted[0], 120) if accepted else ""


def _event(value: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(value)
    except (ValueError, RecursionError):
        return {}  # the field with the worst state
    return told if isinstance(told, dict) else {}


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0
