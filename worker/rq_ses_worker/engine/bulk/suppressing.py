"""Entries of a bulk job that aren't sent, for they are suppressed, or SES has them: each ends by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rq_ses.campaign.bulkjob import BulkJob
from rq_ses.suppression import Suppressed
from rq_ses_worker.lifecycle.suppressed import refusals
from rq_ses_worker.ses.outcome import Outcome


def outcomes_of(
    job: BulkJob,
    suppressed: Mapping[str, Suppressed],
    send: Callable[[Sequence[Any]], Outcome | list[Outcome]],
    told: Mapping[str, Outcome] | None = None,
) -> list[Outcome]:
    """Return one outcome for each entry; `send` is called with those that may be sent, if any.

    `told` has the outcomes of those that SES is known to have, by their ids.
    """
    refused = refusals([entry.to for entry in job.entries], suppressed)
    ends = [(told or {}).get(entry.id, end) for entry, end in zip(job.entries, refused, strict=True)]
    left = [entry for entry, end in zip(job.entries, ends, strict=True) if end is None]
    answer = send(tuple(left)) if left else []
    answers = iter(answer if isinstance(answer, list) else [answer] * len(left))
    return [next(answers) if end is None else end for end in ends]
