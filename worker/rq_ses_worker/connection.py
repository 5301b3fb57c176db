"""HTTP connections that end with their exchange and note how far it came.

They write a request in one piece and read an answer's head without the email parser: what http.client and
urllib3 do there costs more than signing, TLS and JSON together. Bodies are http.client's business.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from rq_ses_worker.deadline import EXCHANGE, Phase, connect

_IDLE_LIMIT: Final = 45.0
"""Seconds after which an unused connection is replaced: gateways forget idle ones without telling."""

_ONE_PIECE: Final = 65_536
_LONGEST_LINE: Final = 65_536
_MOST_HEADERS: Final = 100


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
        head = f"{method} {url} HTTP/1.1\r\n"
        for name, value in headers.items():
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name} holds a line break")
            head += f"{name}: {value}\r\n"
        start = f"{head}\r\n".encode("latin-1")
        if len(body) <= _ONE_PIECE:
            self.send(start + body)
        else:
            self.send(start)
            self.send(body)
        EXCHANGE.phase = Phase.AWAITING
        self._last_used = time.monotonic()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Return the answer, of which only the head is read."""
        answer = _Answer(self.sock, method="POST")
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        if answer.will_close:
            self.close()
        return HTTPResponse(
            body=answer,
            headers=answer.fields,
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            original_response=answer,
            # A cut body is used as far as it came.
            enforce_content_length=False,
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


class _Answer(http.client.HTTPResponse):
    """An http.client answer with a lighter reading of the head (RFC 9112, sections 2.2, 5 and 6.3)."""

    def begin(self) -> None:
        status = http.client.CONTINUE
        while status == http.client.CONTINUE:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            if not version.startswith("HTTP/"):
                raise http.client.UnknownProtocol(version)
            self.fields = self._read_fields()
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version == "HTTP/1.0" else 11
        self.headers = self.msg = self.fields  # type: ignore[assignment]
        self.chunked = self.fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        length = self.fields.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() and not self.chunked else None
        if status < 200 or status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED):
            self.length = 0
        # After an interim answer the final one is still to come: it must not meet the next request.
        if status < 200 or (self.length is None and not self.chunked):
            self.will_close = True

    def _read_fields(self) -> HTTPHeaderDict:
        fields = HTTPHeaderDict()
        name = ""
        for _ in range(_MOST_HEADERS + 1):
            line = self.fp.readline(_LONGEST_LINE + 1)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n", b""):
                return fields
            text = line.decode("latin-1")
            if text[0] in " \t" and name:
                fields[name] = f"{fields[name]} {text.strip()}"
                continue
            name, colon, value = text.partition(":")
            if colon:
                fields.add(name.strip(), value.strip())
        raise http.client.HTTPException(f"got more than {_MOST_HEADERS} headers")
