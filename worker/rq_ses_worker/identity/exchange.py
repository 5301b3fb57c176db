"""One small HTTP exchange with a place that gives credentials: bounded, verified, never redirected."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from requests import PreparedRequest, Response

from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.sigv4 import host_header
from rq_ses_worker.ses.wire.connection import WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE
from rq_ses_worker.ses.wire.transport import EndpointAdapter, Proxy, tls_context

LIMIT: Final = 65_536
"""Bytes of an answer that are read; credentials take 2 KB."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; its body may hold secrets."""

    status: int
    body: bytes = field(repr=False)


class NoReply(Exception):
    """Raised when no answer came, or one that is too long; the text is ours and safe to show."""


def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    timeout: float,
    proxy: str | None = None,
    ca_bundle: str | None = None,
) -> Reply:
    """Make one exchange of at most `timeout` seconds. Raises NoReply."""
    secure = url.startswith("https:")
    # The context of a plain connection is never used, and loading CAs takes 20 ms.
    context = tls_context(ca_bundle) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    request = PreparedRequest()
    request.method = method
    request.url = url
    request.body = body
    request.headers = {  # type: ignore[assignment]
        "Host": host_header(url),
        "User-Agent": f"rq-ses/{version('rq-ses')}",
        **(headers or {}),
    }
    if method != "GET":
        request.headers["Content-Length"] = str(len(body))
    adapter = EndpointAdapter(url, 1, context, Proxy(proxy) if proxy else None)
    try:
        with EXCHANGE.within(timeout):
            try:
                response: Response | WholeAnswer = adapter.send(request, stream=True, timeout=timeout)
                content = response.body if isinstance(response, WholeAnswer) else _read(response)
            except EXPECTED as exc:
                # Not chained: the cause may repeat the headers, which hold tokens.
                raise NoReply(failed(exc, EXCHANGE.phase, timeout).message) from None
    finally:
        adapter.close()
    return Reply(response.status_code, content)


def _read(response: Response) -> bytes:
    raw = response.raw
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := raw.read(8192, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > LIMIT:
                raise NoReply(f"The answer is longer than {LIMIT} bytes.")
    finally:
        raw.close()
    return b"".join(pieces)
