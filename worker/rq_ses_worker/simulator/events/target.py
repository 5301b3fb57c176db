"""Where messages go: an address that is posted to, or an app in this process."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from rq_ses_worker.simulator.events.answer import Answer
from rq_ses_worker.simulator.events.apps import call
from rq_ses_worker.simulator.way import Target

PATIENCE: Final = 15.0
"""Seconds after which SNS takes silence for a failure."""

_TEXT_LIMIT: Final = 2_000


def shown(target: Target) -> str:
    """Return how a target is called where people read of it."""
    return target if isinstance(target, str) else f"app {getattr(target, '__name__', type(target).__name__)}"


def post(
    target: Target, body: bytes, headers: Mapping[str, str], path: str = "", patience: float = PATIENCE
) -> Answer:
    """Post a message as SNS does, redirects not followed, and return the answer.

    Args:
        target: whom to post it to.
        body: the message.
        headers: those of SNS.
        path: within an app, or below the URL.
        patience: seconds to wait for an answer.
    """
    if isinstance(target, str):
        return _post(target + path, body, headers, patience)
    return call(target, path or "/", body, headers)


def _post(url: str, body: bytes, headers: Mapping[str, str], patience: float) -> Answer:
    parts = urlsplit(url)
    make: Callable[..., Any] = http.client.HTTPConnection
    if parts.scheme == "https":
        make = http.client.HTTPSConnection
    connection = make(parts.hostname, parts.port, timeout=patience)
    try:
        place = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", place, body, {**headers, "Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.read(_TEXT_LIMIT).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as exc:
        return Answer(None, _why(exc, patience))
    finally:
        connection.close()


def _why(exc: OSError | http.client.HTTPException, patience: float) -> str:
    if isinstance(exc, TimeoutError):
        return f"nothing came within {patience:g} s"
    if isinstance(exc, ssl.SSLError):
        return f"no TLS: {exc.reason}"
    if isinstance(exc, socket.gaierror):
        return "the host's name isn't known"
    reason = exc.strerror if isinstance(exc, OSError) else None
    return (reason or type(exc).__name__).lower()
