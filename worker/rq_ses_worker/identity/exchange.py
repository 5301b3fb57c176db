"""One small HTTP exchange with a place that gives credentials: bounded, verified, never redirected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from requests import Response

from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.sigv4 import host_header
from rq_ses_worker.ses.wire.connection import WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE
from rq_ses_worker.ses.wire.route import STRAIGHT, Route, context_to
from rq_ses_worker.ses.wire.transport import UNTIMED, EndpointAdapter, prepared, user_agent

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
    route: Route = STRAIGHT,
) -> Reply:
    """Make one exchange of at most `timeout` seconds. Raises NoReply."""
    proxy = route.through()
    context = context_to(url, route.ca_bundle, proxy)
    complete = {"Host": host_header(url), "User-Agent": user_agent(), **(headers or {})}
    if method != "GET":
        complete["Content-Length"] = str(len(body))
    request = prepared(method, url, complete, body)
    adapter = EndpointAdapter(url, 1, context, proxy)
    try:
        with EXCHANGE.within(timeout):
            try:
                answer: Response | WholeAnswer = adapter.send(request, stream=True, timeout=UNTIMED)
                content = answer.body if isinstance(answer, WholeAnswer) else _read(answer)
            except EXPECTED as exc:
                # Not chained: the cause may repeat the headers, which hold tokens.
                raise NoReply(failed(exc, EXCHANGE.phase, timeout).message) from None
    finally:
        adapter.close()
    return Reply(answer.status_code, content)


def _read(answer: Response) -> bytes:
    raw = answer.raw
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
