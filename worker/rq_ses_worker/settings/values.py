"""Single values of a worker's settings: what pydantic's own types don't tell of them.

What needs more than the producer has is imported where it is used (see rq_ses_worker.settings.worker).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from pydantic import SecretStr

from rq_ses.settings.gate import given_profile
from rq_ses.text.invalid import shown
from rq_ses_worker.identity.endpoints import configured_endpoint
from rq_ses_worker.monitoring.listening import read_listening
from rq_ses_worker.ses.credentials import Credentials

_SLOWEST: Final = 0.01
_FASTEST: Final = 1_000_000


def key_id(value: str | None) -> str | None:
    """Return the id of a key. Raises ValueError."""
    if value is not None:
        Credentials(value, "unused")
    return value


def secret_key(value: SecretStr | None) -> SecretStr | None:
    """Return a key's secret. Raises ValueError, never naming it."""
    if value is not None:
        Credentials("unused", value.get_secret_value())
    return value


def token(value: SecretStr | None) -> SecretStr | None:
    """Return a session token. Raises ValueError, never naming it."""
    if value is not None:
        Credentials("unused", "unused", value.get_secret_value())
    return value


def proxy(url: str) -> str:
    """Return a proxy's URL. Raises ValueError."""
    from rq_ses_worker.ses.wire.route import Proxy

    Proxy(url)
    return url


def ca_bundle(path: str) -> str:
    """Return the path of certificates that can be read. Raises ValueError."""
    from rq_ses_worker.ses.wire.route import tls_context

    tls_context(path)
    return path


def metrics(text: str) -> str:
    """Return where to listen. Raises ValueError."""
    read_listening(text)
    return text


@contextmanager
def placed(service: str, url: str | None) -> Iterator[None]:
    """Let a ValueError about a service's URL say which profile gives it, if one does."""
    try:
        yield
    except ValueError as exc:
        found = configured_endpoint(service, given_profile(os.environ), os.environ)
        if found is None or found.url != url or found.place in os.environ:
            raise
        raise ValueError(f"{exc} ({found.place})") from exc


def lower(value: Any) -> Any:
    """Return a word in small letters."""
    return value.lower() if isinstance(value, str) else value


def send_rate(value: Any) -> float | Literal["auto"]:
    """Return recipients a second, or auto. Raises ValueError."""
    if value == "auto":
        return "auto"
    try:
        rate = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        rate = 0.0
    if not _SLOWEST <= rate <= _FASTEST:
        raise ValueError(
            f"{shown(value)} is no send rate: give auto, or recipients a second ({_SLOWEST} to {_FASTEST})"
        )
    return rate
