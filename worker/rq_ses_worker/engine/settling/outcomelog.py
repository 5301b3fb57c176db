"""What the log says of outcomes: of each that was written, and in full of one that wasn't."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from rq_ses.message.address import bare
from rq_ses.text.plaintext import one_line
from rq_ses_worker.lifecycle.records import Bulk, Part, Settlement, Word, ended
from rq_ses_worker.logging import events
from rq_ses_worker.logging.rendering import SENT_LOGGER
from rq_ses_worker.ses.outcome import Sent

log = logging.getLogger("rq_ses_worker.engine.settler")
sent_log = logging.getLogger(SENT_LOGGER)


class OutcomeLog:
    """Logs outcomes; `queues` are the names, in the order of the leases' places."""

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = queues

    def settled(self, settlement: Settlement, word: Word) -> None:
        """Log an outcome that Redis has answered with `word`."""
        job_id, action = settlement.lease.job_id, settlement.action
        if word != "done":
            about = self._about(settlement)
            events.MAIL_CONTESTED.log(
                log,
                job_id=job_id,
                action=action,
                why=_MEANING[word],
                word=word,
                **about,
                **_message_id(settlement),
            )
        elif settlement.bulk:
            self._bulk(settlement, settlement.bulk)
        elif action == "sent":
            # Thousands a second: what nobody reads must cost nothing.
            if sent_log.isEnabledFor(events.MAIL_SENT.level):
                events.MAIL_SENT.log(
                    sent_log, job_id=job_id, **_message_id(settlement), **self._about(settlement)
                )
        elif action == "back":
            events.MAIL_BACK.log(log, job_id=job_id, queue=self._queue(settlement))
        else:
            self._unsent(job_id, settlement)

    def _unsent(self, job_id: str, settlement: Settlement | Part, **about: Any) -> None:
        """Log a mail, a bulk job or a part of one that was not sent."""
        about = {**(self._about(settlement) if isinstance(settlement, Settlement) else {}), **about}
        answer = _answer(settlement)
        if settlement.action == "retry":
            delay, error = settlement.fields["delay"], _cause(settlement)
            events.MAIL_RETRIED.log(log, job_id=job_id, delay=delay, error=error, **about, **answer)
        elif settlement.action == "failed":
            error, _, hint = settlement.fields.get("exc", "").partition("\nHint: ")
            events.MAIL_FAILED.log(log, job_id=job_id, error=error, hint=hint, **about, **answer)

    def _bulk(self, settlement: Settlement, bulk: Bulk) -> None:
        """Log a bulk job: each of its entries that was sent as a mail, and the others as they go on."""
        if (
            settlement.action == "sent"
            and not bulk.division
            and not sent_log.isEnabledFor(events.MAIL_SENT.level)
        ):
            return
        job_id, about = settlement.lease.job_id, self._about(settlement)
        common = {name: about[name] for name in ("queue", "attempt", "campaign")}
        if sent_log.isEnabledFor(events.MAIL_SENT.level):
            for one in bulk.deliveries:
                to, message_id = bare(one.to), one.message_id
                events.MAIL_SENT.log(sent_log, job_id=one.entry_id, to=to, message_id=message_id, **common)
        if settlement.action == "back":
            events.MAIL_BACK.log(log, job_id=job_id, queue=self._queue(settlement))
        elif not bulk.division:
            self._unsent(job_id, settlement)
        else:
            counts = ended(bulk, settlement)
            events.BULK_DIVIDED.log(
                log,
                job_id=job_id,
                entries=bulk.entries,
                sent=counts["sent"],
                again=counts["retry"],
                failed=counts["failed"],
                campaign=bulk.campaign,
                queue=about["queue"],
                attempt=about["attempt"],
            )
            self._unsent(job_id, settlement, entries=bulk.division.entries)
            for part in bulk.division.parts:
                to, _, _ = part.description.partition(" → ")
                self._unsent(part.job_id, part, entries=part.entries, to=to, **common)

    def whole(self, settlement: Settlement) -> dict[str, Any]:
        """Return all that is known of an outcome that isn't written: it may stand nowhere else."""
        return {
            "error": settlement.fields.get("exc") or _cause(settlement),
            **self._about(settlement),
            **_answer(settlement),
            **_message_id(settlement),
        }

    def _queue(self, settlement: Settlement) -> str:
        place = settlement.lease.queue
        return self._queues[place] if place < len(self._queues) else ""

    def _about(self, settlement: Settlement) -> dict[str, Any]:
        to = [bare(recipient) for recipient in settlement.to]
        return {
            "queue": self._queue(settlement),
            "attempt": settlement.meta.get("attempts"),
            "to": to[0] + f" (+{len(to) - 1})" * (len(to) > 1) if to else None,
            "campaign": settlement.bulk.campaign if settlement.bulk else None,
            "entries": settlement.bulk.entries if settlement.bulk else None,
        }


_MEANING: Final = {
    "late": "its lease had run out before; it is not sent again",
    "lost": "it was settled before, or another worker has the job; nothing was written",
    "canceled": "it was canceled while it was being sent; it stays canceled",
    "accepted": "it was canceled while it was being sent, and SES has it: it stands as finished",
    "told": "an event of SES's has told that it was accepted: it stands as finished",
    "vanished": "its job was deleted while it was being sent",
    "broken": "one of its keys in Redis is not of RQ's type",
}


def _cause(settlement: Settlement | Part) -> str:
    last = settlement.meta.get("last_outcome", {})
    if not last:
        return ""
    return f"{last.get('code') or 'HTTP ' + str(last.get('status'))}: {last.get('message', '')}"


def _answer(settlement: Settlement | Part) -> dict[str, Any]:
    last = settlement.meta.get("last_outcome", {})
    return {name: last.get(name) for name in ("outcome", "code", "status", "request_id")}


def _message_id(settlement: Settlement) -> dict[str, Any]:
    outcome = settlement.outcome
    message_id = outcome.message_id if isinstance(outcome, Sent) else None
    return {"message_id": message_id and one_line(message_id, 120)}
