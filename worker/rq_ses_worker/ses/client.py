"""The SES client: sign, send once, classify."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

from requests import PreparedRequest, Response
from urllib3.exceptions import HTTPError

from rq_ses.message.message import Message
from rq_ses.message.render import send_email_body
from rq_ses_worker.ses.account import (
    ACCOUNT_PATH,
    Account,
    Identity,
    identity_path,
    read_account,
    read_identity,
)
from rq_ses_worker.ses.answer import lower_names
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable, Given, Source
from rq_ses_worker.ses.endpoint import SEND_PATH, endpoint_url
from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.httpdate import parse_http_date
from rq_ses_worker.ses.masking import Secrets
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient, classify, is_skew
from rq_ses_worker.ses.rehearsal import rehearse
from rq_ses_worker.ses.sigv4 import host_header, sign
from rq_ses_worker.ses.wire.connection import ONE_PIECE, WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE, MIN_UPLOAD_RATE, Phase
from rq_ses_worker.ses.wire.transport import EndpointAdapter, Proxy, tls_context

BODY_LIMIT: Final = 1 << 20
"""Bytes of an answer that are read; SES's are well under 1 KB."""

_CONTENT: Final = {"Content-Type": "application/json"}
_TEXTS: Final = ("code", "message", "request_id", "answered")
_ID: Final = re.compile(r"(?:[0-9a-f]{1,16}(?:-[0-9a-f]{1,12}){0,7})?")
"""An id as SES makes them: a message's, or a request's."""

_IDS: Final = (*_TEXTS, "message_id")
_NOTHING: Final[dict[str, str]] = {}
_PIECE: Final = 65_536
_TEXT_BOUND: Final = 8192
"""Characters of a text in an answer that are kept; so much and as much again is looked at for secrets."""
_MOST_LOOKED_AT: Final = 262_144
"""Characters of an answer to a question that are read; GetAccount's are 1 KB."""
_OUTDATED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
"""AWS's names for credentials that have ended or been replaced."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SesClient:
    """Send mails to SES v2 from any number of threads over one pool of kept-alive connections.

    `credentials` are asked for at each attempt, so they may change.
    `timeout` seconds bound one whole exchange, from the look-up of the name to the answer's last byte; a mail
    of more than 64 KiB has, while it is sent, as many seconds more as it takes at `min_upload_rate` bytes a
    second.
    `proxy` is an http or https URL and may hold a user name and password; `ca_bundle` is a PEM file or a
    directory of CA certificates to trust instead of the usual ones; `pool_size` connections are kept, one for
    each thread is best. `clock` tells the time in UTC. Nothing is read from the environment.
    Make it in the process that uses it: across a fork two processes would read each other's answers, so a
    process that finds itself forked leaves the connections it has inherited and makes its own.
    Raises ValueError if an argument is unusable.
    """

    def __init__(
        self,
        credentials: Credentials | Source,
        region: str,
        base_url: str | None = None,
        timeout: float = 5.0,
        *,
        min_upload_rate: float = MIN_UPLOAD_RATE,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        allow_http: bool = False,
        use_fips: bool = False,
        use_dualstack: bool = False,
        pool_size: int = 16,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0):
            raise ValueError(f"timeout {timeout!r} is not a time: use seconds above 0")
        if not (math.isfinite(min_upload_rate) and min_upload_rate > 0):
            raise ValueError(f"min_upload_rate {min_upload_rate!r} is not a rate: use bytes a second above 0")
        if pool_size < 1:
            raise ValueError(f"pool_size {pool_size!r} is not a number of connections: use 1 or more")
        self.url = endpoint_url(
            region, base_url, allow_http=allow_http, use_fips=use_fips, use_dualstack=use_dualstack
        )
        self._base_url = self.url.removesuffix(SEND_PATH)
        self.region = region
        self.timeout = timeout
        self.min_upload_rate = min_upload_rate
        self.credentials = Given(credentials) if isinstance(credentials, Credentials) else credentials
        self._clock = clock
        # Each is read and replaced as a whole, so that threads need no lock.
        self._masked: tuple[Credentials | None, Secrets] = (None, Secrets(()))
        self._clock_offset = timedelta(0)
        self._seen_offset: timedelta | None = None
        self._constant_headers = {
            "Host": host_header(self.url),
            "User-Agent": f"rq-ses/{version('rq-ses')}",
            "Accept": "application/json",
        }
        context, way = tls_context(ca_bundle), None if proxy is None else Proxy(proxy)
        self._proxy_secrets = way.secrets if way else ()
        self._new_adapter = partial(EndpointAdapter, self.url, pool_size, context, way)
        self._adapter = self._new_adapter()
        self._pid = os.getpid()
        rehearse()

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

    def send(self, message: Message) -> Outcome:
        """Send one mail and return how it went; nothing that the network or SES does is raised."""
        return self.send_body(send_email_body(message))

    def send_body(self, body: bytes) -> Outcome:
        """Send one SendEmail request, given as the JSON that will be signed and sent byte for byte.

        If SES finds our clock wrong, its own time is taken over, and if it finds the credentials outdated,
        new ones are fetched; then the request is signed and sent once more: a request that is refused for its
        signature was not accepted. Without valid credentials the outcome is Transient.
        """
        outcome, _ = self._ask("POST", self.url, body)
        return outcome

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

    @property
    def clock_offset(self) -> timedelta | None:
        """SES's clock minus ours, to a second, as the last answer to a GET told; None if none did."""
        return self._seen_offset

    def _ask(self, method: str, url: str, body: bytes) -> tuple[Outcome, bytes]:
        """Make one request, or two if a new signature may help; return the outcome and the answer's body."""
        try:
            credentials = self.credentials.current()
            outcome, headers, content = self._attempt(credentials, method, url, body)
            if is_skew(outcome) and self._adopt_time(headers):
                outcome, headers, content = self._attempt(credentials, method, url, body)
            elif _outdated(outcome) and self.credentials.renew(credentials):
                credentials = self.credentials.current()
                outcome, headers, content = self._attempt(credentials, method, url, body)
        except CredentialsUnavailable as exc:
            return _unsigned(exc), b""
        if method == "GET" and (theirs := _date(headers)):
            self._seen_offset = theirs - self._clock()
        if method == "GET":
            text = content.decode("utf-8", "replace")[:_MOST_LOOKED_AT]
            content = self._secrets(credentials).masked(text).encode()
        return self._without_secrets(outcome, credentials), content

    def _attempt(
        self, credentials: Credentials, method: str, url: str, body: bytes
    ) -> tuple[Outcome, Mapping[str, str], bytes]:
        if self._pid != os.getpid():
            # In this order: another thread that finds the new number must not take the old connections.
            self._adapter = self._new_adapter()
            self._pid = os.getpid()
        request = self._signed(credentials, method, url, body)
        upload = len(body) / self.min_upload_rate if len(body) > ONE_PIECE else 0.0
        with EXCHANGE.within(self.timeout, upload):
            try:
                response: Response | WholeAnswer = self._adapter.send(
                    request, stream=True, timeout=self.timeout
                )
            except EXPECTED as exc:
                return failed(exc, EXCHANGE.phase, EXCHANGE.allowed), {}, b""
            content = _read(response)
            torn = EXCHANGE.phase is Phase.SENDING
        outcome = classify(response.status_code, response.headers, content)
        if torn and outcome.ambiguous:
            # SES takes no request of which it has a part.
            outcome = replace(outcome, ambiguous=False)
        return outcome, response.headers, content

    def _signed(self, credentials: Credentials, method: str, url: str, body: bytes) -> PreparedRequest:
        now = self._clock() + self._clock_offset
        # Only what no hop may change is signed: content-type, host and what sign adds.
        described = _CONTENT if method == "POST" else _NOTHING
        added = sign(method, url, described, body, credentials, self.region, now=now)
        request = PreparedRequest()
        request.method = method
        request.url = url
        request.body = body
        # A plain dict: each name is written in one way here, and requests' own costs as much as signing.
        headers = {**self._constant_headers, **described, **added}
        if method == "POST":
            headers["Content-Length"] = str(len(body))
        request.headers = headers  # type: ignore[assignment]
        return request

    def _adopt_time(self, headers: Mapping[str, str]) -> bool:
        theirs = _date(headers)
        if theirs is None:
            return False
        self._clock_offset = theirs - self._clock()
        return True

    def _without_secrets(self, outcome: Outcome, credentials: Credentials) -> Outcome:
        if type(outcome) is Sent and _is_plain(outcome):
            return outcome
        names = _IDS if isinstance(outcome, Sent) else _TEXTS
        texts: dict[str, Any] = {name: text for name in names if (text := getattr(outcome, name))}
        masked = self._secrets(credentials).masked
        # Masked before it is cut: half a secret is recognised by its other half.
        clean: dict[str, Any] = {
            name: masked(text[: 2 * _TEXT_BOUND])[:_TEXT_BOUND] for name, text in texts.items()
        }
        return outcome if clean == texts else replace(outcome, **clean)

    def _secrets(self, credentials: Credentials) -> Secrets:
        whose, secrets = self._masked
        if whose is not credentials:
            secrets = Secrets((*credentials.secrets, *self._proxy_secrets))
            self._masked = (credentials, secrets)
        return secrets


def _is_plain(sent: Sent) -> bool:
    """Tell whether a mail was accepted in SES's own words: thousands a second, without room for a secret."""
    if sent.code or sent.message or sent.answered:
        return False
    return bool(_ID.fullmatch(sent.message_id or "") and _ID.fullmatch(sent.request_id or ""))


def _outdated(outcome: Outcome) -> bool:
    return isinstance(outcome, Terminal) and outcome.code in _OUTDATED


def _unsigned(exc: CredentialsUnavailable) -> Transient:
    return Transient(code="CredentialsUnavailable", message=str(exc), retry_after=exc.retry_after or None)


def _date(headers: Mapping[str, str]) -> datetime | None:
    return parse_http_date(lower_names(headers).get("date", ""))


def _read(response: Response | WholeAnswer) -> bytes:
    """Return what of the body arrives in time; the status alone decides, so no failure is worse than b""."""
    if isinstance(response, WholeAnswer):
        return response.body
    raw = response.raw
    pieces: list[bytes] = []
    size = 0
    whole = False
    try:
        while size < BODY_LIMIT:
            piece = raw.read(min(_PIECE, raw.length_remaining or _PIECE), decode_content=True)
            pieces.append(piece)
            size += len(piece)
            if not piece or (raw.length_remaining == 0 and "Content-Encoding" not in response.headers):
                whole = True
                break
    except (HTTPError, OSError, ValueError):
        pass
    if not whole:
        raw.close()
    raw.release_conn()
    return b"".join(pieces)
