"""Plans the cancelling of a mail that waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses import contract
from rq_ses.deadletter.reading.reader import raw_id
from rq_ses.mails.asking import Asks
from rq_ses.plan import Plan
from rq_ses.rqdate import utcformat
from rq_ses.server.script import Source
from rq_ses.states import CANCELED, SCHEDULED

_CANCEL: Final = Source("mails/cancel")


def canceled(asked: Asks, queues: Sequence[str], job_id: str, queue: str) -> Plan[tuple[bool, str]]:
    """Take a mail out of its queue if it waits there; return whether it did, and the status it had.

    Args:
        asked: its server.
        queues: where it may wait.
        job_id: its job's id.
        queue: whose mail it is.
    """
    names = asked.keys
    keys: list[Any] = [names.job(raw_id(job_id)), names.registry(CANCELED, queue), names.scratch]
    for name in queues:
        keys += [names.queue(name), names.registry(SCHEDULED, name)]
    args: list[Any] = [raw_id(job_id), utcformat(datetime.now(UTC)), contract.CANCELED_TTL]
    args += [names.campaign(""), contract.CAMPAIGN_FIELD, contract.RECIPIENTS_FIELD]
    done, status = yield from asked.run(_CANCEL, keys, args)
    return bool(done), status.decode("utf-8", "replace")
