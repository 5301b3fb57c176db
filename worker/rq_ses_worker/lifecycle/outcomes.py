"""What hooks are told of a mail's end, made of its settlement."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence

from rq_ses.message.address import bare
from rq_ses.outcomes.outcome import Outcome, shortened
from rq_ses.text.plaintext import one_line
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.ses.outcome import Sent


def outcome_text(settlement: Settlement, queues: Sequence[str]) -> str:
    """Return the outcome of a settlement as JSON; `queues` are the names, by the leases' places.

    Its id is that of the execution: however often it is settled, it is one outcome.
    """
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
    ).to_json()


def _message_id(settlement: Settlement) -> str:
    if isinstance(settlement.outcome, Sent) and settlement.outcome.message_id:
        return one_line(settlement.outcome.message_id, 120)
    result = json.loads(b64decode(settlement.fields["result"]))
    found = result.get("message_id") if isinstance(result, dict) else None
    return found or ""
