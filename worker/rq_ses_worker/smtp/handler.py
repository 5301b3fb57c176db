"""What the ingress says at each step of a session: aiosmtpd calls these methods, by their names.

A mail is answered with 250 only when Redis has it. Enqueueing goes on when the client has left meanwhile: it
will send again, and that is the same job then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final, Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException
from redis.exceptions import RedisError

from rq_ses import OutboxUnavailable, Receipt
from rq_ses.errors import DurabilityUnconfirmed
from rq_ses.message import address
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.call import OnConflict
from rq_ses.outbox.submission import Priority, Submission
from rq_ses_worker.engine.threads.outage import Outage
from rq_ses_worker.logging import events
from rq_ses_worker.logging.rendering import SENT_LOGGER
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.access.client import Client
from rq_ses_worker.smtp.access.login import Logins
from rq_ses_worker.smtp.access.rate import Rate
from rq_ses_worker.smtp.access.rules import Rules
from rq_ses_worker.smtp.content import read_content
from rq_ses_worker.smtp.counts import Counts
from rq_ses_worker.smtp.jobs import Mail, jobs_of
from rq_ses_worker.smtp.replies import Refusal, Refused

log = logging.getLogger(__name__)
sent_log = logging.getLogger(SENT_LOGGER)

_OK: Final = "250 2.1.0 OK"
_OK_RECIPIENT: Final = "250 2.1.5 OK"
_MAIL_LINE: Final = 512 + 26 + 500
"""Characters of a MAIL command: RFC 5321's, and what SIZE (RFC 1870) and AUTH (RFC 4954) add."""


class Enqueues(Protocol):
    """What of an AsyncOutbox is used."""

    async def send(
        self,
        message: AnyMessage,
        *,
        key: str | None = None,
        priority: Priority = "normal",
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> Receipt: ...

    async def send_many(
        self,
        messages: Iterable[AnyMessage | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Receipt]: ...


class Handler(Logins):
    """Answers the steps of all sessions.

    Args:
        rules: returns what counts at the moment.
        outbox: enqueues; what many clients bring at a time it writes together.
        counts: is told what becomes of mails.
        settings: of the ingress.
    """

    def __init__(
        self, rules: Callable[[], Rules], outbox: Enqueues, counts: Counts, settings: SmtpSettings
    ) -> None:
        super().__init__(rules, counts)
        self._outbox = outbox
        self._rate = Rate(settings.smtp_rate)
        self._queue = settings.queue
        self._durable = settings.smtp_durable
        self._outage = Outage(log, "mails are answered with 451")
        self.underway: set[asyncio.Task[list[Receipt]]] = set()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, _: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what there is for this client."""
        session.host_name = hostname
        server.command_size_limits["MAIL"] = _MAIL_LINE
        client = Client.of(session)
        may_log_in = self._rules().login(client.address, encrypted=client.encrypted) is None
        return [
            line
            for line in responses
            if "SMTPUTF8" not in line and (may_log_in or not line[4:].startswith("AUTH"))
        ]

    async def handle_MAIL(  # noqa: N802
        self, _: SMTP, session: Session, envelope: Envelope, sender: str, options: Sequence[str]
    ) -> str:
        """Judge client and sender."""
        client = self._client(session)
        try:
            envelope.mail_from = self._judged_sender(client, sender, options)
        except Refused as exc:
            return self.refused(exc.refusal, client, sender)
        return _OK

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, session: Session, envelope: Envelope, recipient: str, _options: Sequence[str]
    ) -> str:
        """Judge a recipient."""
        most = self._rules().max_recipients
        if len(envelope.rcpt_tos) >= most:
            return self.refused(replies.too_many_recipients(most), Client.of(session), recipient)
        try:
            envelope.rcpt_tos.append(_normalised(recipient, replies.UTF8_RECIPIENT, replies.BAD_RECIPIENT))
        except Refused as exc:
            return self.refused(exc.refusal, Client.of(session), recipient)
        return _OK_RECIPIENT

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Judge a mail's content, and enqueue it."""
        client = self._client(session)
        try:
            mail = self._judged(client, session, envelope)
            receipts = await self._taken(mail, client, len(envelope.original_content or b""))
        except Refused as exc:
            return self.refused(exc.refusal, client, envelope.mail_from)
        except (OutboxUnavailable, DurabilityUnconfirmed):
            return self.refused(replies.AWAY, client, envelope.mail_from)
        except Exception as exc:  # noqa: BLE001 - raised, it would leave the envelope open
            return await self.handle_exception(exc)
        more = f" (and {len(receipts) - 1} more)" if len(receipts) > 1 else ""
        return f"250 2.0.0 queued as {receipts[0].job_id}{more}"

    async def handle_exception(self, error: Exception) -> str:
        """Answer what nobody has foreseen, and say nothing of it to the client."""
        if isinstance(error, TLSSetupException):
            events.SMTP_TLS_FAILED.log(log, error=type(error.__cause__).__name__)
        else:
            events.SMTP_RAISED.log(log, trace=True)
            self._counts.refused[replies.INTERNAL.reason] += 1
        return replies.INTERNAL.reply

    def refused(self, refusal: Refusal, client: Client, about: str | None) -> str:
        """Count and log a refusal; return its reply."""
        self._counts.refused[refusal.reason] += 1
        # What is no UTF-8 can't be written.
        written = (about or "")[:320].encode("utf-8", "replace").decode()
        events.SMTP_REFUSED.log(
            log, reason=refusal.reason, client=client.name, reply=refusal.reply, about=written
        )
        return refusal.reply

    def _client(self, session: Session) -> Client:
        """Return who sends, by the files as they are now: sessions may last for hours."""
        client = Client.of(session)
        return replace(client, user=self._rules().still(client.user))

    def _judged_sender(self, client: Client, sender: str, options: Sequence[str]) -> str:
        """Return the sender of an envelope, its domain in ASCII. Raises Refused."""
        rules = self._rules()
        if refusal := rules.client(client.address, client.user):
            raise Refused(refusal)
        if not self._counts.ready:
            raise Refused(replies.AWAY)
        if wait := self._rate.wait(client.name, time.monotonic()):
            raise Refused(replies.too_fast(wait))
        if sender == "<>":
            raise Refused(replies.NULL_SENDER)
        if "SMTPUTF8" in options:
            raise Refused(replies.NO_SMTPUTF8)
        judged = _normalised(sender, replies.UTF8_SENDER, replies.BAD_SENDER)
        if refusal := rules.sender(judged, client.user):
            raise Refused(refusal)
        return judged

    def _judged(self, client: Client, session: Session, envelope: Envelope) -> Mail:
        content = read_content(envelope.original_content or b"")
        if refusal := self._rules().content(content, client.user):
            raise Refused(refusal)
        protocol = client.protocol(extended=session.extended_smtp)
        return Mail.of(content, envelope.mail_from or "", envelope.rcpt_tos, protocol)

    async def _taken(self, mail: Mail, client: Client, size: int) -> list[Receipt]:
        """Enqueue a mail. The client may leave, and this call with it: it is enqueued all the same."""
        jobs = jobs_of(mail, self._queue, time.time())
        task = asyncio.create_task(self._enqueue(mail, next(jobs), jobs, client, size))
        self.underway.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _enqueue(
        self, mail: Mail, first: Submission, rest: Iterator[Submission], client: Client, size: int
    ) -> list[Receipt]:
        began = time.monotonic()
        try:
            receipts = await self._written(first, rest if mail.is_several else None)
        except OutboxUnavailable as exc:
            self._outage.failed(
                exc.__cause__ if isinstance(exc.__cause__, RedisError) else RedisError(exc.reason)
            )
            raise
        now, counts = time.monotonic(), self._counts
        recipients = len(mail.recipients)
        self._outage.over()
        self._rate.spend(client.name, recipients, now)
        counts.observe(now - began)
        counts.taken += 1
        counts.recipients += recipients
        counts.repeated += all(receipt.duplicate for receipt in receipts)
        events.SMTP_TAKEN.log(
            sent_log,
            job_id=receipts[0].job_id,
            sender=mail.sender,
            recipients=recipients,
            client=client.name,
            size=size,
            repeated=receipts[0].duplicate or None,
        )
        return receipts

    async def _written(self, first: Submission, rest: Iterator[Submission] | None) -> list[Receipt]:
        # The key stands for all but the Received header, which is no reason to call a mail another one.
        if rest:
            every = chain([first], rest)
            return await self._outbox.send_many(every, durable=self._durable, on_conflict="keep")
        receipt = await self._outbox.send(
            first.message, key=first.key, priority=first.priority, durable=self._durable, on_conflict="keep"
        )
        return [receipt]

    def _ended(self, task: asyncio.Task[list[Receipt]]) -> None:
        self.underway.discard(task)
        # Who waited for it may have left; without this asyncio would say that nobody looked.
        if not task.cancelled():
            task.exception()


def _normalised(text: str, not_ascii: Refusal, bad: Refusal) -> str:
    """Return an address of the envelope, its domain in ASCII. Raises Refused if it is none that SES takes."""
    if not text.rpartition("@")[0].isascii():
        raise Refused(not_ascii)
    try:
        return address.bare(address.normalise(text))
    except ValueError:
        raise Refused(bad) from None
