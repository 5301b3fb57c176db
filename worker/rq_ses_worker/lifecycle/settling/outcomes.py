"""What hooks are told of a mail's end, made of its settlement."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace

from rq_ses.message.address import bare
from rq_ses.outcomes.outcome import Outcome, shortened, written
from rq_ses.server.jobdata import inflated
from rq_ses.text.plaintext import one_line
from rq_ses_worker.lifecycle.records import Lease, Part, Settlement
from rq_ses_worker.ses.outcome import Sent


def outcome_text(settlement: Settlement, queues: Sequence[str]) -> str:
    """Return the outcome of a settlement as JSON; `queues` are the names, by the leases' places.

    Its id is that of the execution: however often it is settled, it is one outcome. Of a bulk job whose
    entries were sent it is one for each of them.
    """
    if settlement.bulk and settlement.action == "sent":
        return written(_delivered(settlement, queues))
    return _of_job(settlement, queues).to_json()


def division_text(settlement: Settlement, queues: Sequence[str]) -> str:
    """Return the outcomes of a bulk job's entries that are over, as JSON; "" if none is.

    Those that failed have become jobs of their own, unless they stay in the job.
    """
    told = _delivered(settlement, queues)
    division = settlement.bulk and settlement.bulk.division
    for part in division.parts if division else ():
        if part.action == "failed":
            lease = settlement.lease._replace(job_id=part.job_id)
            told.append(_of_job(_one(settlement, lease, part), queues))
    if settlement.action == "failed":
        told.append(_of_job(settlement, queues))
    return written(told) if told else ""


def _one(settlement: Settlement, lease: Lease, part: Part) -> Settlement:
    # As we have written it (rq_ses.campaign.bulkjob).
    _, _, [job], _ = json.loads(inflated(part.data))
    to = [entry[0] for entry in job["entries"]]
    return settlement._replace(lease=lease, action="failed", meta=part.meta, fields=part.fields, to=to)


def _delivered(settlement: Settlement, queues: Sequence[str]) -> list[Outcome]:
    """Return the outcomes of the entries that SES has accepted."""
    whole = _of_job(settlement._replace(action="retry"), queues)
    return [
        replace(
            whole,
            id=f"{one.entry_id}:{settlement.lease.execution}",
            kind="sent",
            job_id=one.entry_id,
            message_id=one.message_id or "",
            to=(bare(one.to),),
            code="",
            error="",
            in_doubt=False,
        )
        for one in (settlement.bulk.deliveries if settlement.bulk else ())
    ]


def _of_job(settlement: Settlement, queues: Sequence[str]) -> Outcome:
    lease, meta = settlement.lease, settlement.meta
    sent = settlement.action == "sent"
    last = meta.get("last_outcome", {})
    return Outcome(
        id=lease.member,
        kind=settlement.action,
        at=settlement.ended.isoformat(timespec="milliseconds"),
        job_id=lease.job_id,
        queue=queues[lease.queue] if lease.queue < len(queues) else "",
        message_id=_message_id(settlement) if sent else "",
        to=tuple(map(bare, settlement.to)),
        attempts=meta.get("attempts", 0),
        code="" if sent else last.get("code") or "",
        error="" if sent else shortened(settlement.fields.get("exc", "").partition("\n")[0]),
        in_doubt=not sent and bool(meta.get("ambiguous")),
    )


def _message_id(settlement: Settlement) -> str:
    if isinstance(settlement.outcome, Sent) and settlement.outcome.message_id:
        return one_line(settlement.outcome.message_id, 120)
    result = json.loads(b64decode(settlement.fields["result"]))
    found = result.get("message_id") if isinstance(result, dict) else None
    return found or ""
