"""The way to SES: whether its server is reached, and by which certificate it proves itself."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from rq_ses.hints import hint_for
from rq_ses_worker.doctor.finding import Finding, Severity, ok, variable
from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.outcome import summary
from rq_ses_worker.ses.wire.deadline import EXCHANGE, Phase, connect
from rq_ses_worker.ses.wire.route import tls_context
from rq_ses_worker.ses.wire.url import is_loopback

SOON: Final = timedelta(days=14)
"""Amazon renews its certificates long before; one that is so near its end is somebody else's."""


def check_endpoint(
    url: str, *, ca_bundle: str | None, proxied: bool, timeout: float, now: datetime | None = None
) -> Iterator[Finding]:
    """Yield what is found on a connection to the server of `url`, made within `timeout` seconds."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{host}:{port}"
    if parts.scheme != "https":
        severity: Severity = "info" if is_loopback(host) else "warning"
        yield Finding(
            "endpoint.tls",
            severity,
            f"{where} is spoken to without TLS",
            f"use an https:// {variable('base_url')}, or none, for real mails; "
            "loopback is fine for a simulator",
        )
        return
    if proxied:
        yield Finding(
            "endpoint.tls",
            "info",
            f"{where} is reached through a proxy: its certificate is verified there, and not looked at here",
            "see ses.signature: if SES answered, the way is open",
        )
        return
    yield from _look(host, port, tls_context(ca_bundle), timeout, now or datetime.now(UTC))


def _look(host: str, port: int, context: ssl.SSLContext, timeout: float, now: datetime) -> Iterator[Finding]:
    where = f"{host}:{port}"
    with EXCHANGE.within(timeout):
        try:
            EXCHANGE.phase = Phase.CONNECTING
            with (
                closing(connect(host, port, [])) as plain,
                closing(context.wrap_socket(plain, server_hostname=host)) as tls,
            ):
                certificate, version = tls.getpeercert() or {}, tls.version()
        except EXPECTED as exc:
            outcome = failed(exc, EXCHANGE.phase, timeout)
            remedy = hint_for(outcome.code, "", None) or "look at the way from this host to SES"
            yield Finding("endpoint.tls", "error", f"{where}: {summary(outcome)}", remedy)
            return
    expires = _expiry(certificate)
    text = f"{where} is reached by {version}, its certificate is verified"
    if expires is None:
        yield ok("endpoint.tls", text)
    elif expires - now > SOON:
        yield ok("endpoint.tls", f"{text} and good until {expires:%Y-%m-%d}")
    else:
        yield Finding(
            "endpoint.tls",
            "warning",
            f"{text}, but expires on {expires:%Y-%m-%d %H:%M} UTC",
            "renew it, if the endpoint is yours; Amazon renews its own",
        )


def _expiry(certificate: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    except (KeyError, ValueError):
        return None
