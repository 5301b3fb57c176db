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
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from rq_ses_worker.ses.wire.deadline import EXCHANGE, ONE_PIECE, Phase, connect
from rq_ses_worker.ses.wire.headers import LowerNames

_IDLE_LIMIT: Final = 45.0
"""Seconds after which an unused connection is replaced: gateways forget idle ones without telling."""

_ONE_READ: Final = 1_024
"""Bytes; SES's answers are under 500. A thread that waits holds so much, and larger buffers add up."""
_PLAIN: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9][0-9](?=[ \r\n])")
"""The beginning of an interim answer; 101 ends HTTP on its connection, and nothing follows it."""
_BEGINNINGS: Final = (b"HTTP/1.1 1", b"HTTP/1.0 1")
_TOLD_APART: Final = len(b"HTTP/1.1 103 ")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_INTERIM_LIMIT: Final = 262_144
"""Bytes of interim answers that are read before the final one."""
_BROKEN_OFF: Final = frozenset({408, 413})
"""Answers after which a server may close without saying so, for it broke the request off (RFC 9110, sections
15.5.9 and 15.5.14): a further request might be lost, and nobody could say whether it was."""
_OF_LIBRARY: Final = frozenset({"transfer-encoding", "content-encoding"})
_KEPT: Final = "keep-alive"
"""What AWS's front ends say of a connection: in HTTP/1.1 it goes without saying (RFC 9112, section 9.3)."""


class WholeAnswer(NamedTuple):
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
        EXCHANGE.enter(Phase.CONNECTING)
        super().connect()
        EXCHANGE.enter(Phase.SENDING)

    def request(  # type: ignore[override]
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: Any
    ) -> None:
        """Send the whole request; nothing is added to its headers."""
        EXCHANGE.enter(Phase.SENDING)
        said = "".join([method, url, *headers, *headers.values()])
        if "\n" in said or "\r" in said:
            raise ValueError("a header holds a line break")
        lines = [f"{method} {url} HTTP/1.1", *map(": ".join, headers.items()), "\r\n"]
        start = "\r\n".join(lines).encode("latin-1")
        if self.sock is None:
            self.connect()
        if len(body) <= ONE_PIECE:
            self.sock.sendall(start + body)
        else:
            self.sock.sendall(start)
            self.sock.sendall(body)
        EXCHANGE.enter(Phase.AWAITING)
        self._last_used = time.monotonic()

    def answer(self) -> WholeAnswer | HTTPResponse:
        """Read the answer: whole if it is a plain one, else its head, its body to be read by the caller."""
        received = self._past_interim()
        whole = self._whole(received)
        if whole is None:
            return self._by_library(received)
        if whole.status_code in _BROKEN_OFF:
            self.close()
        return whole

    def early_refusal(self) -> WholeAnswer | HTTPResponse | None:
        """Return why the server broke the request off, None if it didn't say so or nothing was sent yet.

        What refuses a request while it is still coming in, for its size say, answers and closes: the rest of
        the request breaks, and the answer is there to be read.
        """
        if EXCHANGE.phase is not Phase.SENDING or self.sock is None:
            return None
        try:
            answer = self.answer()
        except (OSError, HTTPError, http.client.HTTPException, ValueError):
            return None
        finally:
            self.close()
        status = answer.status_code if isinstance(answer, WholeAnswer) else answer.status
        return answer if status >= 400 else None

    def _past_interim(self) -> bytes:
        """Return the beginning of the final answer, b"" if none came (RFC 9110, section 15.2)."""
        received = self.sock.recv(_ONE_READ)
        if len(received) >= _TOLD_APART and not received.startswith(_BEGINNINGS):
            return received
        left = _INTERIM_LIMIT - len(received)
        while True:
            interim = _INTERIM.match(received)
            if interim and (end := _HEAD_END.search(received)):
                received = received[end.end() :]
                continue
            if not interim and received and not _may_become_interim(received):
                return received
            piece = self.sock.recv(_ONE_READ)
            if not piece:
                return b"" if interim else received
            left -= len(piece)
            if left < 0:
                raise http.client.HTTPException("interim answers without end")
            received += piece

    def _whole(self, received: bytes) -> WholeAnswer | None:
        """Return an answer that is here to its last byte, or None if anything about it is unusual."""
        first = _PLAIN.match(received)
        end = received.find(b"\r\n\r\n")
        if first is None or end < 0:
            return None
        lines = received[first.end() : end].decode("latin-1").split("\r\n")
        headers = LowerNames()
        for line in lines:
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or name in headers or name != name.strip():
                return None
            headers[name] = value.strip()
        if received.count(b"\n", first.end(), end) >= len(lines):
            return None
        if not headers.keys().isdisjoint(_OF_LIBRARY) or headers.get("connection", _KEPT).lower() != _KEPT:
            return None
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(received) - end - 4 == int(length[:9])):
            return None
        return WholeAnswer(int(first[1]), headers, received[end + 4 :])

    def _by_library(self, received: bytes) -> HTTPResponse:
        answer = http.client.HTTPResponse(self.sock, method="POST")
        answer.fp = _Reader(_Continued(received, answer.fp.detach()), surplus=self.close)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        # After 101 the connection speaks something else than HTTP.
        if answer.will_close or answer.status < 200 or answer.status in _BROKEN_OFF:
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
        EXCHANGE.enter(Phase.TUNNELING)
        super()._tunnel()
        EXCHANGE.enter(Phase.CONNECTING)

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
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._received:
            return 0 if self._over else int(self._rest.readinto(buffer))
        size = min(len(buffer), len(self._received))
        buffer[:size] = self._received[:size]
        self._received = self._received[size:]
        return size

    def end(self) -> None:
        """Bring nothing more than what was received already."""
        self._over = True

    def close(self) -> None:
        self._rest.close()
        super().close()


class _Reader(io.BufferedReader):
    """Reads one answer; `surplus` is called if more than that was received: it must meet no other request."""

    def __init__(self, raw: _Continued, surplus: Callable[[], None]) -> None:
        super().__init__(raw)
        self._continued = raw
        self._surplus = surplus

    def close(self) -> None:
        if not self.closed:
            self._continued.end()
            if self.peek(1):
                self._surplus()
        super().close()


def _may_become_interim(received: bytes) -> bool:
    """Tell whether an answer that is torn in its first line may be an interim one."""
    return len(received) < _TOLD_APART and any(
        beginning.startswith(received[: len(beginning)]) for beginning in _BEGINNINGS
    )
