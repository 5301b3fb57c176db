"""HTTP connections that end with their exchange, note how far it came, and do little.

A request is written in one piece. An answer that came whole in one read, plain and with its length told, as
SES's do, is taken apart here; every other one is left to http.client and urllib3. What those do for any
answer costs more than signing, TLS and JSON together.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from rq_ses_worker.deadline import EXCHANGE, Phase, connect

_IDLE_LIMIT: Final = 45.0
"""Seconds after which an unused connection is replaced: gateways forget idle ones without telling."""

_ONE_PIECE: Final = 65_536
_ONE_READ: Final = 1_024
"""Bytes; SES's answers are under 500. A thread that waits holds so much, and larger buffers add up."""
_PLAIN: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_LEAVE_TO_LIBRARY: Final = frozenset({"transfer-encoding", "content-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer that is read already: headers by their names in lower case, and the body."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class DeadlineHTTPConnection(HTTPConnection):
    """A connection for requests whose body is bytes and whose headers are complete."""

    _last_used = 0.0

    @property
    def is_connected(self) -> bool:
        """Tell whether the connection can carry another request."""
        return time.monotonic() - self._last_used < _IDLE_LIMIT and super().is_connected

    def connect(self) -> None:
        """Connect, and greet proxy and TLS, within the exchange's time."""
        EXCHANGE.phase = Phase.CONNECTING
        super().connect()
        EXCHANGE.phase = Phase.SENDING

    def request(  # type: ignore[override]
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: Any
    ) -> None:
        """Send the whole request; nothing is added to its headers."""
        EXCHANGE.phase = Phase.SENDING
        lines = [f"{method} {url} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
        head = "\r\n".join(lines)
        if head.count("\n") != len(headers) or head.count("\r") != len(headers):
            raise ValueError("a header holds a line break")
        start = f"{head}\r\n\r\n".encode("latin-1")
        if self.sock is None:
            self.connect()
        if len(body) <= _ONE_PIECE:
            self.sock.sendall(start + body)
        else:
            self.sock.sendall(start)
            self.sock.sendall(body)
        EXCHANGE.phase = Phase.AWAITING
        self._last_used = time.monotonic()

    def answer(self) -> WholeAnswer | HTTPResponse:
        """Read the answer: whole if it is a plain one, else its head, its body to be read by the caller."""
        received = self.sock.recv(_ONE_READ)
        return _whole(received) or self._by_library(received)

    def _by_library(self, received: bytes) -> HTTPResponse:
        answer = http.client.HTTPResponse(self.sock, method="POST")
        answer.fp = io.BufferedReader(_Continued(received, answer.fp.detach()))
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        # After an interim answer (1xx) the final one is still to come: it must not meet the next request.
        if answer.will_close or answer.status < 200:
            self.close()
        return HTTPResponse(
            body=answer,
            headers=HTTPHeaderDict(answer.headers.items()),
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            original_response=answer,
            enforce_content_length=False,  # what came of a cut answer is worth reading
            request_method="POST",
        )

    def _tunnel(self) -> None:
        EXCHANGE.phase = Phase.TUNNELING
        super()._tunnel()
        EXCHANGE.phase = Phase.CONNECTING

    def _new_conn(self) -> socket.socket:
        try:
            return connect(self._dns_host, self.port, list(self.socket_options or ()))
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except TimeoutError as exc:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from exc
        except OSError as exc:
            raise NewConnectionError(self, f"Failed to establish a new connection: {exc}") from exc


class DeadlineHTTPSConnection(DeadlineHTTPConnection, HTTPSConnection):
    """The same over TLS."""


class _Continued(io.RawIOBase):
    """What was received already, and then what the socket brings."""

    def __init__(self, received: bytes, rest: Any) -> None:
        self._received = received
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._received:
            return int(self._rest.readinto(buffer))
        size = min(len(buffer), len(self._received))
        buffer[:size] = self._received[:size]
        self._received = self._received[size:]
        return size

    def close(self) -> None:
        self._rest.close()
        super().close()


def _whole(received: bytes) -> WholeAnswer | None:
    """Return an answer that is here to its last byte, or None if anything about it is out of the ordinary."""
    first = _PLAIN.match(received)
    end = received.find(b"\r\n\r\n")
    if first is None or end < 0:
        return None
    headers: dict[str, str] = {}
    for line in received[first.end() : end].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name in headers or name in _LEAVE_TO_LIBRARY or name != name.strip() or "\n" in value:
            return None
        headers[name] = value.strip()
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(received) - end - 4 == int(length[:9])):
        return None
    return WholeAnswer(int(first[1]), headers, received[end + 4 :])
