"""Sending in the simulated account: who may, what scripts say, how fast; and what is kept of it."""

from __future__ import annotations

import uuid
from typing import Final

from rq_ses_worker.simulator.api import answers, statuses
from rq_ses_worker.simulator.api.account import Account
from rq_ses_worker.simulator.api.answers import Answer
from rq_ses_worker.simulator.api.bulk import BulkSubmission, Entry
from rq_ses_worker.simulator.api.faults import Faults
from rq_ses_worker.simulator.api.statuses import Result
from rq_ses_worker.simulator.api.steps import ScriptError, Step
from rq_ses_worker.simulator.api.submission import Submission
from rq_ses_worker.simulator.events.publisher import Publisher
from rq_ses_worker.simulator.exchange import ACCEPTED, Exchange
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.records.inbox import Inbox
from rq_ses_worker.simulator.records.mail import EntryResult
from rq_ses_worker.simulator.templated import Templated

_UNSEEN: Final = answers.for_status(500)
"""A connection that is reset gets no answer; this one is never seen."""


class Sending:
    """What SendEmail and SendBulkEmail do once a request is read and its signature is good."""

    def __init__(
        self, options: Options, inbox: Inbox, faults: Faults, account: Account, publisher: Publisher
    ) -> None:
        self._region = options.region
        self._publisher = publisher
        self._inbox = inbox
        self._faults = faults
        self._account = account

    def send(self, exchange: Exchange, mail: Submission) -> Answer:
        """Return the answer to a SendEmail."""
        unverified = self._account.identity_refusal(mail.sender, mail.recipients)
        if unverified:
            return unverified
        try:
            scripted = self._faults.next(mail.recipients)
        except ScriptError as exc:
            return answers.bad_request(str(exc))
        effect = self._faults.effect(*scripted) if scripted else ACCEPTED
        if effect.accepts:
            limited = self._account.limit_refusal(mail.recipients, exchange.monotonic)
            if limited:
                return limited
        if scripted:
            self._consume(exchange, scripted)
        exchange.effect = effect
        if not effect.accepts:
            return effect.answer or _UNSEEN
        played = scripted[0] if scripted else None
        exchange.message_id = self._accept(exchange, mail.sender, mail.recipients, mail.template, played)
        return Answer(200, members={} if effect.anonymous else {"MessageId": exchange.message_id})

    def send_bulk(self, exchange: Exchange, bulk: BulkSubmission) -> Answer:
        """Return the answer to a SendBulkEmail: results in the order of its entries."""
        unverified = self._account.identity_refusal(bulk.sender, ())
        if unverified:
            return unverified
        try:
            scripts = [self._faults.next(entry.recipients) for entry in bulk.entries]
        except ScriptError as exc:
            return answers.bad_request(str(exc))
        whole = next((one for one in scripts if one and statuses.is_of_the_whole(one[1])), None)
        if whole:
            exchange.effect = self._faults.effect(*whole)
            self._consume(exchange, whole)
            if not exchange.effect.accepts:
                return exchange.effect.answer or _UNSEEN
        room = self._account.bulk_room(exchange.monotonic)
        told = []
        for index, entry in enumerate(bulk.entries):
            result, message_id = self._send_entry(exchange, bulk, index, entry, room)
            if result.accepts:
                room -= len(entry.recipients)
            if result.told:
                told.append(result.members(message_id))
        return Answer(200, members={"BulkEmailEntryResults": told})

    def _send_entry(
        self, exchange: Exchange, bulk: BulkSubmission, index: int, entry: Entry, room: float
    ) -> tuple[Result, str | None]:
        scripted = self._faults.next(entry.recipients)
        if scripted and statuses.is_of_the_whole(scripted[1]):
            scripted = None  # not this one's turn, or played for all of the request already
        result = self._result(bulk.sender, entry, scripted)
        if result.accepts:
            limited = self._limit(entry, room, exchange.monotonic)
            if limited:
                result, scripted = limited, None
        if scripted:
            self._faults.consume(scripted[0])
        message_id = None
        if result.accepts:
            played = scripted[0] if scripted else None
            message_id = self._accept(exchange, bulk.sender, entry.recipients, entry.template, played, index)
        exchange.entries.append(
            EntryResult(
                recipients=entry.recipients,
                status=result.status if result.told else None,
                error=result.error,
                message_id=message_id,
                fault=scripted[1].word if scripted else None,
            )
        )
        return result, message_id

    def _result(self, sender: str, entry: Entry, scripted: tuple[str, Step] | None) -> Result:
        if entry.refusal is not None or entry.template is None:
            return statuses.refused("INVALID_PARAMETER", entry.refusal)
        unverified = self._account.identity_refusal(sender, entry.recipients)
        if unverified:
            return statuses.refused("MESSAGE_REJECTED", unverified.message)
        if scripted:
            return statuses.result_of(scripted[1], scripted[0], self._region)
        return statuses.ACCEPTED

    def _limit(self, entry: Entry, room: float, now: float) -> Result | None:
        if self._account.quota_refusal(entry.recipients, now):
            return statuses.refused("ACCOUNT_DAILY_QUOTA_EXCEEDED")
        return statuses.refused("ACCOUNT_THROTTLED") if room <= 0 else None

    def _accept(
        self,
        exchange: Exchange,
        sender: str,
        recipients: tuple[str, ...],
        template: Templated | None,
        played: str | None,
        entry: int | None = None,
    ) -> str:
        self._account.charge(recipients, exchange.monotonic)
        # As SES writes it: the time in milliseconds, a UUID, a counter.
        message_id = f"0100{int(exchange.at * 1000):012x}-{uuid.uuid4()}-000000"
        fates = self._faults.fates(recipients, besides=played)
        mail = exchange.mail(sender, recipients, message_id, template, entry, fates)
        self._inbox.add_mail(mail)
        self._publisher.accepted(message_id)
        return message_id

    def _consume(self, exchange: Exchange, scripted: tuple[str, Step]) -> None:
        self._faults.consume(scripted[0])
        exchange.fault = scripted[1].word
