"""One request in, one reply out: what the simulated SES does, without a socket."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rq_ses_worker.simulator.api import answers, submission
from rq_ses_worker.simulator.api.account import Account
from rq_ses_worker.simulator.api.answers import Answer, Refused
from rq_ses_worker.simulator.api.bulk import read_bulk
from rq_ses_worker.simulator.api.faults import Faults, HangUp
from rq_ses_worker.simulator.api.lookups.configurationset import get_event_destinations
from rq_ses_worker.simulator.api.lookups.identity import get_identity
from rq_ses_worker.simulator.api.operation import SUPPRESSION_OPERATIONS, Asked, asked
from rq_ses_worker.simulator.api.sigv4 import Headers, SignedRequest
from rq_ses_worker.simulator.api.templating.operations import TemplateOperations
from rq_ses_worker.simulator.api.templating.reading import read_stored
from rq_ses_worker.simulator.api.templating.store import StoredTemplate, Templates
from rq_ses_worker.simulator.api.verify import verify
from rq_ses_worker.simulator.events.account import AccountTopic
from rq_ses_worker.simulator.events.publisher import Publisher
from rq_ses_worker.simulator.exchange import Exchange
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.records.inbox import Inbox, Request
from rq_ses_worker.simulator.records.raw import RawRequest, Verdict, head_of, verdict
from rq_ses_worker.simulator.sending import Sending
from rq_ses_worker.simulator.suppressed import SuppressedDestinations


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire after `delay` seconds; with `hang_up`, the connection ends instead."""

    status: int
    headers: dict[str, str]
    body: bytes
    delay: float = 0.0
    hang_up: HangUp | None = None
    hints: bool = False


class Service:
    """A simulated SES account in one region.

    `clock` gives epoch seconds, `monotonic` seconds for rates and quotas. `on_request` is told of every
    request once its answer is decided.
    """

    def __init__(
        self,
        options: Options,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        self.options = options
        self.inbox = Inbox(options.keep)
        self.faults = Faults(options.region)
        self.templates = Templates()
        self._account = Account(options)
        self.publisher = Publisher(
            AccountTopic(options.region, options.events_certificate),
            options.way,
            options.keep,
            self.inbox.mail,
        )
        self._sending = Sending(options, self.inbox, self.faults, self._account, self.publisher)
        self._operations = TemplateOperations(self.templates, limited=bool(options.rate))
        self._suppressed = SuppressedDestinations(limited=bool(options.rate), sandbox=options.sandbox)
        self._credentials = {credential.access_key_id: credential for credential in options.credentials}
        self._clock = clock
        self._monotonic = monotonic
        self._on_request = on_request
        self._errors = 0

    def clear(self) -> None:
        """Forget records, attempts, scripts, templates, events, suppressed addresses and what was sent."""
        self.inbox.clear()
        self.publisher.clear()
        self.faults.clear()
        self.templates.clear()
        self._suppressed.clear()
        self._account.clear()

    def forget(self) -> None:
        """Forget records, and what was told of mails; the account stays as it is."""
        self.inbox.clear()
        self.publisher.log.clear()

    def add_template(
        self, name: str, subject: str | None = None, text: str | None = None, html: str | None = None
    ) -> None:
        """Keep a template, in place of one with its name. Raises Refused as CreateEmailTemplate does."""
        content = read_stored({"Subject": subject, "Text": text, "Html": html}, "templateContent")
        self.templates.put(StoredTemplate(name, content, self._clock()))

    def arrival(self) -> tuple[float, float]:
        """Return the wall and the monotonic time for a request that arrives now."""
        return self._clock(), self._monotonic()

    def describe(self) -> dict[str, Any]:
        """Return how the account is set up, and what GetAccount says of it now; nothing secret."""
        options = self.options
        return {
            "region": options.region,
            "access_key_ids": [credential.access_key_id for credential in options.credentials],
            "sandbox": options.sandbox,
            "verified": list(options.verified),
            "rate": options.rate,
            "quota": options.quota,
            "skew": options.skew,
            "clock_offset": options.clock_offset,
            "error_shape": options.error_shape,
            "keep": options.keep,
            "get_account": self._account.describe(self._monotonic()),
        }

    def judge(self, request: Request, raw: RawRequest) -> Verdict:
        """Return the verdict on a kept request's signature, and what it was made over."""
        options = self.options
        return verdict(
            raw,
            options.credentials,
            options.region,
            now=request.at + options.clock_offset,
            skew=options.skew,
        )

    def handle(
        self, method: str, target: bytes, headers: Headers, body: bytes, arrival: tuple[float, float]
    ) -> Reply:
        """Return the reply to one request; `target` is the path with its query, undecoded."""
        raw = RawRequest(method, target, head_of(headers), body, hashlib.sha256(body).hexdigest())
        exchange = Exchange(raw, *arrival)
        return self._reply(exchange, self._answer(exchange, headers))

    def too_large(self, method: str, target: bytes, arrival: tuple[float, float]) -> Reply:
        """Return the reply to a request whose body isn't read to its end."""
        return self._reply(Exchange(RawRequest(method, target, b"", b"", ""), *arrival), answers.TOO_LARGE)

    def _answer(self, exchange: Exchange, headers: Headers) -> Answer:
        raw = exchange.raw
        wanted = asked(raw.method, raw.target, raw.body)
        if wanted is None:
            return answers.error(
                404, "UnknownOperationException", "No operation of SES v2 has this method and path."
            )
        refusal = verify(
            SignedRequest(raw.method, raw.target, headers, raw.digest),
            self._credentials,
            self.options.region,
            now=exchange.at + self.options.clock_offset,
            skew=self.options.skew,
        )
        exchange.verdict = (refusal.code or "") if refusal else "ok"
        try:
            if wanted.operation in ("SendEmail", "SendBulkEmail"):
                return self._send(exchange, wanted, refusal)
            return refusal or self._tell(exchange, wanted)
        except Refused as refused:
            return refusal or refused.answer

    def _tell(self, exchange: Exchange, wanted: Asked) -> Answer:
        match wanted.operation:
            case "GetAccount":
                return Answer(200, members=self._account.describe(exchange.monotonic))
            case "GetEmailIdentity":
                return get_identity(wanted.name, self.options)
            case "GetConfigurationSetEventDestinations":
                return get_event_destinations(wanted.name, self.options)
            case operation if operation in SUPPRESSION_OPERATIONS:
                return self._suppressed.answer(wanted, exchange.at, exchange.monotonic)
            case _:
                return self._operations.answer(wanted, exchange.at, exchange.monotonic)

    def _send(self, exchange: Exchange, wanted: Asked, refusal: Answer | None) -> Answer:
        exchange.attempt = self.inbox.attempt(exchange.raw.digest)
        if wanted.operation == "SendBulkEmail":
            bulk = read_bulk(wanted.body, self.templates)
            exchange.recipients, exchange.share = bulk.recipients, len(bulk.entries)
            return refusal or self._sending.send_bulk(exchange, bulk)
        mail = submission.read(wanted.body, self.templates)
        exchange.recipients = mail.recipients
        return refusal or self._sending.send(exchange, mail)

    def _reply(self, exchange: Exchange, answer: Answer) -> Reply:
        request_id = str(uuid.uuid4())
        effect = exchange.effect
        answered_at = self._clock() + effect.delay
        headers, body = answers.render(
            answer, self._shape(answer), request_id, answered_at + self.options.clock_offset
        )
        request = self.inbox.add_request(exchange.request(answer, request_id, answered_at), exchange.raw)
        if self._on_request:
            self._on_request(request)
        return Reply(answer.status, headers, body, effect.delay, effect.hang_up, effect.hints)

    def _shape(self, answer: Answer) -> Literal["header", "body"]:
        if self.options.error_shape != "alternate":
            return self.options.error_shape
        if answer.code is None:
            return "header"
        self._errors += 1
        return "header" if self._errors % 2 else "body"
