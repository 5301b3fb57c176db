"""The SES client: sign, send once, classify."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from requests import PreparedRequest, Response

from rq_ses.message.reading import AnyMessage
from rq_ses.message.render import send_email_body
from rq_ses_worker.ses.account import (
    ACCOUNT_PATH,
    Account,
    Identity,
    identity_path,
    read_account,
    read_identity,
)
from rq_ses_worker.ses.clock import SigningClock
from rq_ses_worker.ses.credentials import (
    Credentials,
    CredentialsUnavailable,
    RenewableCredentials,
    StaticCredentials,
)
from rq_ses_worker.ses.echo import EchoMask
from rq_ses_worker.ses.endpoint import BULK_PATH, SEND_PATH, Endpoint
from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient, classify, is_skew
from rq_ses_worker.ses.sigv4 import host_header, sign
from rq_ses_worker.ses.warmup import warm_up
from rq_ses_worker.ses.wire.body import read_what_comes
from rq_ses_worker.ses.wire.connection import WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE, Phase, Timeout
from rq_ses_worker.ses.wire.route import STRAIGHT, Route, context_to
from rq_ses_worker.ses.wire.transport import UNTIMED, EndpointAdapter, prepared, user_agent

if TYPE_CHECKING:
    from rq_ses_worker.ses.lookups.configurationset import EventDestination
    from rq_ses_worker.ses.lookups.suppression import Page, Wanted

# What few processes ask, or send, is imported where it is.

BODY_LIMIT: Final = 1 << 20
"""Bytes of an answer that are read; SES's are well under 1 KB."""

_CONTENT: Final = {"Content-Type": "application/json"}
_NOTHING: Final[dict[str, str]] = {}
_TIMEOUT: Final = Timeout()
OUTDATED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
"""AWS's names for credentials that have ended or been replaced.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
"""


Classify = Callable[[int, Mapping[str, str], bytes], Outcome]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SesClient:
    """Send mails to SES v2 from any number of threads over one pool of kept-alive connections.

    `credentials` are asked for at each attempt, so they may change. `timeout` bounds each request by itself.
    `pool_size` connections are kept, one for each thread is best. `clock` tells the time in UTC. Nothing is
    read from the environment.
    Make it in the process that uses it: across a fork two processes would read each other's answers, so a
    process that finds itself forked leaves the connections it has inherited and makes its own.
    Raises ValueError if an argument is unusable.
    """

    def __init__(
        self,
        credentials: Credentials | RenewableCredentials,
        endpoint: Endpoint,
        route: Route = STRAIGHT,
        timeout: Timeout = _TIMEOUT,
        *,
        pool_size: int = 16,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size {pool_size!r} is not a number of connections: use 1 or more")
        self.url = endpoint.url
        self.region = endpoint.region
        self.timeout = timeout
        self.credentials = (
            StaticCredentials(credentials) if isinstance(credentials, Credentials) else credentials
        )
        self._base_url = self.url.removesuffix(SEND_PATH)
        self._constant_headers = {
            "Host": host_header(self.url),
            "User-Agent": user_agent(),
            "Accept": "application/json",
        }
        self._clock = SigningClock(clock)
        proxy = route.through()
        context = context_to(self.url, route.ca_bundle, proxy)
        self._mask = EchoMask(proxy.secrets if proxy else ())
        self._adapter = EndpointAdapter(self.url, pool_size, context, proxy)
        self._pid = os.getpid()
        warm_up()

    def __repr__(self) -> str:
        return f"SesClient({self.region!r}, {self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are idle; those in use close when their exchange ends."""
        self._adapter.close()

    def close_idle(self) -> None:
        """Close the connections that are idle, for their descriptors; the next exchanges make new ones."""
        self._adapter.close_idle()

    def send(self, message: AnyMessage, job_id: str = "") -> Outcome:
        """Send one mail, tagged with its job's id, and return how it went.

        Nothing that the network or SES does is raised.
        """
        return self.send_body(send_email_body(message, job_id))

    def send_body(self, body: bytes) -> Outcome:
        """Send one SendEmail request, given as the JSON that will be signed and sent byte for byte.

        If SES finds our clock wrong, its own time is taken over, and if it finds the credentials outdated,
        new ones are fetched; then the request is signed and sent once more: a request that is refused for its
        signature was not accepted. Without valid credentials the outcome is Transient.
        """
        outcome, _ = self._ask("POST", self.url, body)
        return outcome

    def send_bulk(self, body: bytes, entries: int) -> Outcome | list[Outcome]:
        """Send one SendBulkEmail request, as `send_body` does, and return how each of its entries fared.

        One outcome for all of them where SES took none, or nobody knows.
        """
        from rq_ses_worker.ses.bulk.answer import classified, outcomes

        outcome, content = self._ask("POST", self._base_url + BULK_PATH, body, classified)
        if not isinstance(outcome, Sent):
            return outcome
        credentials = self.credentials.current()
        return self._mask.outcomes(outcomes(outcome, content, entries), credentials)

    def get_account(self) -> Account:
        """Return the account's limits and state in this region (needs the permission ses:GetAccount).

        SES answers about one such call a second. Raises AccountRefused if it doesn't tell.
        """
        return read_account(*self._ask("GET", self._base_url + ACCOUNT_PATH, b""))

    def get_email_identity(self, name: str) -> Identity | None:
        """Return what SES knows of an address or a domain, None if nothing (needs ses:GetEmailIdentity).

        Raises AccountRefused if it doesn't tell, ValueError if `name` can be neither.
        """
        return read_identity(name, *self._ask("GET", self._base_url + identity_path(name), b""))

    def get_event_destinations(self, configuration_set: str) -> tuple[EventDestination, ...] | None:
        """Return where a configuration set publishes events, None if there is no such set.

        Needs ses:GetConfigurationSetEventDestinations. Raises AccountRefused if SES doesn't tell, ValueError
        if it can't be a set's name.
        """
        from rq_ses_worker.ses.lookups.configurationset import destinations_path, read_destinations

        url = self._base_url + destinations_path(configuration_set)
        return read_destinations(*self._ask("GET", url, b""))

    def list_suppressed(self, wanted: Wanted, token: str = "") -> Page:
        """Return a page of SES's own suppression list (needs ses:ListSuppressedDestinations).

        Raises AccountRefused if it doesn't tell.
        """
        from rq_ses_worker.ses.lookups.suppression import page_path, read_page

        return read_page(*self._ask("GET", self._base_url + page_path(wanted, token), b""))

    @property
    def clock_offset(self) -> timedelta | None:
        """SES's clock minus ours, to a second, as the last answer to a GET told; None if none did."""
        return self._clock.offset

    def _ask(self, method: str, url: str, body: bytes, judge: Classify = classify) -> tuple[Outcome, bytes]:
        """Make one request, or two if a new signature may help; return the outcome and the answer's body."""
        try:
            credentials = self.credentials.current()
            outcome, headers, content = self._attempt(credentials, method, url, body, judge)
            if is_skew(outcome) and self._clock.correct(headers):
                outcome, headers, content = self._attempt(credentials, method, url, body, judge)
            elif _outdated(outcome) and self.credentials.renew(credentials):
                credentials = self.credentials.current()
                outcome, headers, content = self._attempt(credentials, method, url, body, judge)
        except CredentialsUnavailable as exc:
            return _unsigned(exc), b""
        if method == "GET":
            self._clock.compare(headers)
            content = self._mask.body(content, credentials)
        return self._mask.outcome(outcome, credentials), content

    def _attempt(
        self, credentials: Credentials, method: str, url: str, body: bytes, judge: Classify
    ) -> tuple[Outcome, Mapping[str, str], bytes]:
        if self._pid != os.getpid():
            # In this order: another thread that finds the new number must not take the old connections.
            self._adapter = self._adapter.anew()
            self._pid = os.getpid()
        request = self._signed(credentials, method, url, body)
        seconds = self.timeout.seconds
        with EXCHANGE.within(seconds, self.timeout.upload(len(body))):
            try:
                answer: Response | WholeAnswer = self._adapter.send(request, stream=True, timeout=UNTIMED)
            except EXPECTED as exc:
                return failed(exc, EXCHANGE.phase, EXCHANGE.allowed), {}, b""
            # The status alone decides, so what is missing of the body is no failure.
            content = read_what_comes(answer, BODY_LIMIT)
            torn = EXCHANGE.phase is Phase.SENDING
        outcome = judge(answer.status_code, answer.headers, content)
        if torn and outcome.ambiguous:
            # SES takes no request of which it has a part.
            outcome = replace(outcome, ambiguous=False)
        return outcome, answer.headers, content

    def _signed(self, credentials: Credentials, method: str, url: str, body: bytes) -> PreparedRequest:
        # Only what no hop may change is signed: content-type, host and what sign adds.
        described = _CONTENT if method == "POST" else _NOTHING
        added = sign(method, url, described, body, credentials, self.region, now=self._clock.now())
        headers = {**self._constant_headers, **described, **added}
        if method == "POST":
            headers["Content-Length"] = str(len(body))
        return prepared(method, url, headers, body)


def _outdated(outcome: Outcome) -> bool:
    return isinstance(outcome, Terminal) and outcome.code in OUTDATED


def _unsigned(exc: CredentialsUnavailable) -> Transient:
    return Transient(code="CredentialsUnavailable", message=str(exc), retry_after=exc.retry_after or None)
