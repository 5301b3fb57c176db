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
"""How http.client begins to tell that a proxy refused."""


def failed(exc: BaseException, phase: Phase, timeout: float) -> Outcome:
    """Return the outcome of an exchange that ended in `exc` when it had come to `phase`.

    `timeout` are the seconds that the phase was allowed.
    Where the phase is unknown (nothing of ours was on the network), the exception's kind decides.
    """
    causes = _Causes(exc, timeout)
    refused = causes.first(ssl.SSLCertVerificationError, CertificateError)
    if refused is not None:
        reason = str(getattr(refused, "verify_message", "")).rstrip(".") or "its name does not fit"
        return Terminal(code="CertificateRefused", message=f"The server's certificate is refused: {reason}.")
    return _not_sent(causes, phase) or _not_answered(causes)


def _not_sent(causes: _Causes, phase: Phase) -> Transient | None:
    """Return the outcome if SES can't have the whole request, else None."""
    first = causes.first
    if first(u3.ClosedPoolError):
        return _safe("ClientClosed", "The client was closed before the request was sent.")
    of_proxy = phase is not Phase.AWAITING and first(u3.ProxyError, requests.exceptions.ProxyError)
    if phase is Phase.TUNNELING or of_proxy:
        return _safe("ProxyError", f"The proxy did not connect: {causes.tunnel_reply or causes.why}.")
    if first(u3.NameResolutionError, socket.gaierror):
        return _safe("NameResolutionFailed", f"The host has no address: {causes.system_words}.")
    if first(ConnectionRefusedError):
        return _safe("ConnectionRefused", "The host refused the connection.")
    if first(u3.NewConnectionError):
        return _safe("ConnectionFailed", f"The host cannot be reached: {causes.system_words}.")
    if first(u3.ConnectTimeoutError, requests.exceptions.ConnectTimeout):
        return _safe("ConnectTimeout", f"No connection within {causes.timeout:.4g} s.")
    of_tls = phase is Phase.IDLE and first(ssl.SSLError, requests.exceptions.SSLError)
    if phase is Phase.CONNECTING or of_tls:
        return _safe("TlsHandshakeFailed", f"The TLS handshake was broken off: {causes.why}.")
    if phase is Phase.SENDING:
        why = f"The request was not sent whole: {causes.why}."
        return _safe("WriteTimeout", why) if causes.late else _safe("WriteFailed", why)
    return None


def _not_answered(causes: _Causes) -> Transient:
    """Return the outcome of a request that SES may have taken on."""
    if causes.late:
        return _unsure("ReadTimeout", f"No answer within {causes.timeout:.4g} s.")
    odd = causes.first(ValueError, http.client.HTTPException)
    if odd and not causes.first(http.client.RemoteDisconnected):
        return _unsure("InvalidAnswer", "The answer is not HTTP.")
    return _unsure("ConnectionClosed", "The connection was closed before an answer came.")


def _safe(code: str, message: str) -> Transient:
    return Transient(code=code, message=message)


def _unsure(code: str, message: str) -> Transient:
    return Transient(code=code, message=message, ambiguous=True)


class _Causes:
    """An exception with those it was made from, outermost first, and what they say together."""

    def __init__(self, exc: BaseException, timeout: float) -> None:
        self._all = list(_chain(exc))
        self.timeout = timeout
        self.late = bool(self.first(u3.ReadTimeoutError, requests.exceptions.Timeout, TimeoutError))

    def first(self, *kinds: type[BaseException]) -> BaseException | None:
        """Return the outermost of these kinds, None if there is none."""
        return next((cause for cause in self._all if isinstance(cause, kinds)), None)

    @property
    def why(self) -> str:
        """Return the reason: that the time was up, else the system's words."""
        return f"it took longer than {self.timeout:.4g} s" if self.late else self.system_words

    @property
    def system_words(self) -> str:
        """Return what the operating system says of the innermost error."""
        errors = [cause.strerror for cause in self._all if isinstance(cause, OSError)]
        words = [text for text in errors if isinstance(text, str)]
        return words[-1] if words else "no reason is known"

    @property
    def tunnel_reply(self) -> str:
        """Return how a proxy refused a tunnel, "" if it didn't."""
        for cause in self._all:
            if isinstance(cause, OSError) and cause.args and str(cause.args[0]).startswith(_TUNNEL):
                return f"it answered {str(cause.args[0]).removeprefix(_TUNNEL).strip()[:100]}"
        return ""


def _chain(exc: BaseException) -> Iterator[BaseException]:
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
