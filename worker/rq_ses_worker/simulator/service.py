"""One request in, one reply out: what the simulated SES does, without a socket."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from rq_ses_worker.simulator.api import answers, submission
from rq_ses_worker.simulator.api.account import Account, event_of
from rq_ses_worker.simulator.api.answers import Answer, Refused
from rq_ses_worker.simulator.api.faults import Effect, Faults, HangUp, ScriptError
from rq_ses_worker.simulator.api.identity import get_identity, identity_of
from rq_ses_worker.simulator.api.sigv4 import Headers, SignedRequest
from rq_ses_worker.simulator.api.submission import Submission
from rq_ses_worker.simulator.api.verify import verify
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.records.inbox import Inbox, Mail, Request
from rq_ses_worker.simulator.records.raw import RawRequest, Verdict, head_of, verdict

SEND_EMAIL: Final = b"/v2/email/outbound-emails"
GET_ACCOUNT: Final = b"/v2/email/account"

_PATH_LIMIT: Final = 200
_PLAIN: Final = Effect(accepts=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire after `delay` seconds; with `hang_up`, the connection ends instead."""

    status: int
    headers: dict[str, str]
    body: bytes
    delay: float = 0.0
    hang_up: HangUp | None = None
    hints: bool = False


@dataclass(slots=True)
class _Exchange:
    """What becomes known of a request while it is handled."""

    method: str
    target: bytes
    body: bytes
    at: float
    monotonic: float
    digest: str
    head: bytes = b""
    recipients: tuple[str, ...] = ()
    verdict: str = "unchecked"
    attempt: int = 0
    message_id: str | None = None
    fault: str | None = None
    effect: Effect = _PLAIN


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
        self._account = Account(options)
        self._credentials = {credential.access_key_id: credential for credential in options.credentials}
        self._clock = clock
        self._monotonic = monotonic
        self._on_request = on_request
        self._errors = 0

    def clear(self) -> None:
        """Forget records, attempts, scripts and what was sent."""
        self.inbox.clear()
        self.faults.clear()
        self._account.clear()

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
        """Return the reply to one request; `target` is the raw path with its query."""
        digest = hashlib.sha256(body).hexdigest()
        exchange = _Exchange(method, target, body, *arrival, digest, head_of(headers))
        return self._reply(exchange, self._answer(exchange, headers))

    def too_large(self, method: str, target: bytes, arrival: tuple[float, float]) -> Reply:
        """Return the reply to a request whose body isn't read to its end."""
        return self._reply(_Exchange(method, target, b"", *arrival, ""), answers.TOO_LARGE)

    def _answer(self, exchange: _Exchange, headers: Headers) -> Answer:
        operation = _operation(exchange.method, exchange.target)
        if operation is None:
            return answers.error(
                404, "UnknownOperationException", "No operation of SES v2 has this method and path."
            )
        received = SignedRequest(exchange.method, exchange.target, headers, exchange.digest)
        refusal = verify(
            received,
            self._credentials,
            self.options.region,
            now=exchange.at + self.options.clock_offset,
            skew=self.options.skew,
        )
        exchange.verdict = (refusal.code or "") if refusal else "ok"
        if operation == "GetAccount":
            return refusal or Answer(200, members=self._account.describe(exchange.monotonic))
        if operation == "GetEmailIdentity":
            return refusal or get_identity(identity_of(_path(exchange.target)) or "", self.options)
        exchange.attempt = self.inbox.attempt(exchange.digest)
        try:
            mail = submission.read(exchange.body)
        except Refused as refused:
            return refusal or refused.answer
        exchange.recipients = mail.recipients
        return refusal or self._send(exchange, mail)

    def _send(self, exchange: _Exchange, mail: Submission) -> Answer:
        unverified = self._account.identity_refusal(mail.sender, mail.recipients)
        if unverified:
            return unverified
        try:
            scripted = self.faults.next(mail.recipients)
        except ScriptError as exc:
            return answers.bad_request(str(exc))
        effect = self.faults.effect(*scripted) if scripted else _PLAIN
        if effect.accepts:
            limited = self._account.limit_refusal(mail.recipients, exchange.monotonic)
            if limited:
                return limited
        if scripted:
            self.faults.consume(scripted[0])
            exchange.fault = scripted[1].word
        exchange.effect = effect
        if effect.accepts:
            return self._accept(exchange, mail)
        # A connection that is reset gets no answer; this one is never seen.
        return effect.answer or answers.for_status(500)

    def _accept(self, exchange: _Exchange, mail: Submission) -> Answer:
        self._account.charge(mail.recipients, exchange.monotonic)
        # As SES writes it: the time in milliseconds, a UUID, a counter.
        exchange.message_id = f"0100{int(exchange.at * 1000):012x}-{uuid.uuid4()}-000000"
        events = {address: event for address in mail.recipients if (event := event_of(address))}
        self.inbox.add_mail(
            Mail(
                at=exchange.at,
                monotonic=exchange.monotonic,
                message_id=exchange.message_id,
                sender=mail.sender,
                recipients=mail.recipients,
                attempt=exchange.attempt,
                events=events,
                body=exchange.body,
            )
        )
        return Answer(200, members={"MessageId": exchange.message_id})

    def _reply(self, exchange: _Exchange, answer: Answer) -> Reply:
        request_id = str(uuid.uuid4())
        effect = exchange.effect
        now = self._clock()
        answered_at = now + effect.delay
        headers, body = answers.render(
            answer, self._shape(answer), request_id, answered_at + self.options.clock_offset
        )
        request = self.inbox.add_request(
            Request(
                at=exchange.at,
                monotonic=exchange.monotonic,
                answered_at=answered_at,
                method=exchange.method,
                path=_path(exchange.target)[:_PATH_LIMIT].decode("utf-8", "backslashreplace"),
                recipients=exchange.recipients,
                verdict=exchange.verdict,
                status=None if effect.hang_up else answer.status,
                code=None if effect.hang_up else answer.code,
                attempt=exchange.attempt,
                request_id=request_id,
                message_id=exchange.message_id,
                fault=exchange.fault,
                message=None if effect.hang_up else answer.message,
            ),
            RawRequest(exchange.method, exchange.target, exchange.head, exchange.body, exchange.digest),
        )
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


def _path(target: bytes) -> bytes:
    return target.partition(b"?")[0]


def _operation(method: str, target: bytes) -> Literal["SendEmail", "GetAccount", "GetEmailIdentity"] | None:
    path = _path(target)
    if method == "POST" and path.endswith(SEND_EMAIL):
        return "SendEmail"
    if method == "GET" and path.endswith(GET_ACCOUNT):
        return "GetAccount"
    if method == "GET" and identity_of(path) is not None:
        return "GetEmailIdentity"
    return None
