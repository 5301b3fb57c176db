"""A webhook: outcomes as JSON, signed, to one URL, whose certificate is verified and which can't redirect."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from rq_ses.outcomes.outcome import Outcome
from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.sigv4 import host_header
from rq_ses_worker.ses.wire.connection import WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE
from rq_ses_worker.ses.wire.route import STRAIGHT, Route, context_to
from rq_ses_worker.ses.wire.transport import UNTIMED, EndpointAdapter, prepared, user_agent
from rq_ses_worker.ses.wire.url import is_loopback

SIGNATURE: Final = "X-Rq-Ses-Signature"
"""Header: `t=EPOCH,v1=HEX`, the HMAC-SHA256 of `EPOCH.BODY`."""

PARCEL: Final = 100
"""Outcomes in a request at most."""

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")


class NotTaken(Exception):
    """Raised when the webhook didn't take what it was sent; the text names neither its URL nor its answer."""


def checked_url(url: str, *, allow_http: bool = False) -> str:
    """Return a webhook's URL. Raises ValueError, which doesn't repeat it: it may hold a token."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or _UNFIT.search(url) or "#" in url:
        raise ValueError("it is no URL of a server: give one like https://app.example.com/hooks/mail")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password: remove what is before the @")
    if parts.scheme == "http" and not (allow_http or is_loopback(parts.hostname or "")):
        raise ValueError("it is not encrypted, and its host is not this machine: use https")
    return url


def signature(key: bytes, body: bytes, at: int) -> str:
    """Return the header's value for a body that is sent at a moment (epoch seconds)."""
    digest = hmac.new(key, b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def body_of(outcomes: Sequence[Outcome]) -> bytes:
    """Return what is posted of outcomes."""
    return json.dumps(
        {"version": 1, "outcomes": [outcome.to_dict() for outcome in outcomes]}, separators=(",", ":")
    ).encode()


class Webhook:
    """Posts outcomes; any 2xx says that all of them are taken. One thread at a time.

    Args:
        url: as `checked_url` takes it.
        key: signs.
        timeout: seconds for one exchange.
        route: authorities to trust; a proxy.
        clock: epoch seconds.
    """

    def __init__(
        self,
        url: str,
        key: bytes,
        timeout: float,
        route: Route = STRAIGHT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._key = key
        self._timeout = timeout
        self._clock = clock
        proxy = route.through()
        self._adapter = EndpointAdapter(url, 1, context_to(url, route.ca_bundle, proxy), proxy)

    def __repr__(self) -> str:
        return f"Webhook({urlsplit(self._url).hostname!r})"

    def __call__(self, outcomes: Sequence[Outcome]) -> None:
        """Post outcomes. Raises NotTaken."""
        body = body_of(outcomes)
        headers = {
            "Host": host_header(self._url),
            "User-Agent": user_agent(),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            SIGNATURE: signature(self._key, body, int(self._clock())),
        }
        request = prepared("POST", self._url, headers, body)
        with EXCHANGE.within(self._timeout):
            try:
                answer: Any = self._adapter.send(request, stream=True, timeout=UNTIMED)
            except EXPECTED as exc:
                # Not chained: the cause may repeat the URL.
                raise NotTaken(failed(exc, EXCHANGE.phase, EXCHANGE.allowed).code or "no answer") from None
            if not isinstance(answer, WholeAnswer):
                answer.raw.close()  # what it says beside its status is not for us
        if not 200 <= answer.status_code < 300:
            more = ": it redirects, which is not followed" if 300 <= answer.status_code < 400 else ""
            raise NotTaken(f"HTTP {answer.status_code}{more}")

    def close(self) -> None:
        """Close its connection."""
        self._adapter.close()
