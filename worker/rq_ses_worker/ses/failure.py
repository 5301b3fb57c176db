"""What it means for the mail when no answer came: the exceptions of requests and urllib3 as outcomes.

The texts are ours, since theirs may hold a proxy's password.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import requests
import urllib3.exceptions as u3
from urllib3.util.ssl_match_hostname import CertificateError

from rq_ses_worker.ses.outcome import Outcome, Terminal, Transient
from rq_ses_worker.ses.wire.deadline import Phase

EXPECTED: Final = (OSError, u3.HTTPError, http.client.HTTPException, ValueError)
"""What an exchange can raise because of the network or the other side; OSError covers requests' own."""

_TUNNEL: Final = "Tunnel connection failed:"


def failed(exc: BaseException, phase: Phase, timeout: float) -> Outcome:
    """Return the outcome of an exchange that ended in `exc` when it had come to `phase`.

    `timeout` are the seconds that the phase was allowed.
    Where the phase is unknown (nothing of ours was on the network), the exception's kind decides.
    """
    causes = list(_causes(exc))
    sent = phase is Phase.AWAITING

    def found(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    refused = found(ssl.SSLCertVerificationError, CertificateError)
    if refused is not None:
        reason = str(getattr(refused, "verify_message", "")).rstrip(".") or "its name does not fit"
        return Terminal(code="CertificateRefused", message=f"The server's certificate is refused: {reason}.")
    if found(u3.ClosedPoolError):
        return _safe("ClientClosed", "The client was closed before the request was sent.")
    late = found(u3.ReadTimeoutError, requests.exceptions.Timeout, TimeoutError) is not None
    why = f"it took longer than {timeout:.4g} s" if late else _system_words(causes)
    if phase is Phase.TUNNELING or (not sent and found(u3.ProxyError, requests.exceptions.ProxyError)):
        return _safe("ProxyError", f"The proxy did not connect: {_tunnel_reply(causes) or why}.")
    if found(u3.NameResolutionError, socket.gaierror):
        return _safe("NameResolutionFailed", f"The host has no address: {_system_words(causes)}.")
    if found(ConnectionRefusedError):
        return _safe("ConnectionRefused", "The host refused the connection.")
    if found(u3.NewConnectionError):
        return _safe("ConnectionFailed", f"The host cannot be reached: {_system_words(causes)}.")
    if found(u3.ConnectTimeoutError, requests.exceptions.ConnectTimeout):
        return _safe("ConnectTimeout", f"No connection within {timeout:.4g} s.")
    if phase is Phase.CONNECTING or (
        phase is Phase.IDLE and found(ssl.SSLError, requests.exceptions.SSLError)
    ):
        return _safe("TlsHandshakeFailed", f"The TLS handshake was broken off: {why}.")
    if phase is Phase.SENDING:
        return _safe("WriteTimeout" if late else "WriteFailed", f"The request was not sent whole: {why}.")
    if late:
        return _unsure("ReadTimeout", f"No answer within {timeout:.4g} s.")
    if found(ValueError, http.client.HTTPException) and not found(http.client.RemoteDisconnected):
        return _unsure("InvalidAnswer", "The answer is not HTTP.")
    return _unsure("ConnectionClosed", "The connection was closed before an answer came.")


def _safe(code: str, message: str) -> Transient:
    return Transient(code=code, message=message)


def _unsure(code: str, message: str) -> Transient:
    return Transient(code=code, message=message, ambiguous=True)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception, and those it was made from, outermost first."""
    waiting, seen = [exc], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (*current.args, getattr(current, "reason", None), current.__cause__)
        waiting.extend(one for one in inner if isinstance(one, BaseException))


def _tunnel_reply(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.args and str(cause.args[0]).startswith(_TUNNEL):
            return f"it answered {str(cause.args[0]).removeprefix(_TUNNEL).strip()[:100]}"
    return ""


def _system_words(causes: list[BaseException]) -> str:
    words = [
        cause.strerror for cause in causes if isinstance(cause, OSError) and isinstance(cause.strerror, str)
    ]
    return words[-1] if words else "no reason is known"
