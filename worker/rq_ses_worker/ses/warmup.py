"""Reads every kind of answer once before any is awaited, so that nothing is left to be loaded then.

Codecs and modules are loaded when they are first used. In a process that has no descriptor left by then
loading fails, and would fail between SES's "accepted" and its record.
"""

from __future__ import annotations

import io
import socket
from functools import cache
from typing import Any, Final

from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.masking import Secrets
from rq_ses_worker.ses.outcome import Outcome, classify, details, hinted, summary
from rq_ses_worker.ses.wire.connection import DeadlineHTTPConnection, WholeAnswer
from rq_ses_worker.ses.wire.deadline import Phase

_PLAIN: Final = (
    (b"200 OK", b'{"MessageId":"m"}'),
    (b"200 OK", b'{"MessageId":"'),
    (b"200 OK", b"<html>&uuml;</html>"),
    (b"400 Bad Request", b'\xef\xbb\xbf{"__type":"MessageRejected","message":"\xff %2B &#43;"}'),
    (b"403 Forbidden", b"<Error><Code>x</Code><Message>&lt;<![CDATA[x]]></Message></Error>"),
    (b"429 Too Many Requests", b"{}"),
    (b"503 Service Unavailable", b""),
)
_HEAD: Final = (
    b"HTTP/1.1 %s\r\nx-amzn-RequestId: 1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Retry-After: 1\r\nContent-Length: %d\r\n\r\n"
)
_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
_ANSWERS: Final = (
    *[_HEAD % (status, len(body)) + body for status, body in _PLAIN],
    b"HTTP/1.1 103 Early Hints\r\n\r\n" + _CHUNKED,
    b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
    b"SSH-2.0\r\n",
    b"",
)
_LOOKED_UP: Final = ("127.0.0.1", "::1")


@cache
def warm_up() -> None:
    """Read each kind of answer, and each way to fail, as the client does; a process does it once."""
    for host in _LOOKED_UP:
        socket.getaddrinfo(host, 1, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    "warmup.invalid".encode("idna")
    secrets = Secrets(["the-secret-of-a-warmup"])
    for answer in _ANSWERS:
        outcome = _read(answer)
        secrets.masked(f"{outcome.message} {outcome.answered}")
        hinted(summary(outcome), outcome)
        details(outcome)


def _read(answer: bytes) -> Outcome:
    connection: Any = DeadlineHTTPConnection("warmup.invalid")
    connection.sock = CannedSocket(answer)
    try:
        found = connection.answer()
    except EXPECTED as exc:
        return failed(exc, Phase.AWAITING, 1.0)
    if isinstance(found, WholeAnswer):
        return classify(found.status_code, found.headers, found.body)
    return classify(found.status, found.headers, found.read(decode_content=True))


class CannedSocket:
    """A socket on which an answer waits."""

    def __init__(self, answer: bytes) -> None:
        self._left = io.BytesIO(answer)

    def recv(self, size: int) -> bytes:
        return self._left.read(size)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._left)

    def close(self) -> None:
        """Leave nothing to close."""
