"""AWS credentials: which there are, from where, and until when. No secret is ever part of a finding."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from rq_ses_worker.doctor.finding import Finding, ok, variable
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable

SOON: Final = timedelta(minutes=5)
"""Sources renew theirs ten minutes before the end: with less left they failed to."""

_TEMPORARY: Final = "ASIA"
_LASTING: Final = "AKIA"


class Source(Protocol):
    """What hands out credentials: rq_ses_worker.identity.source.CredentialSource."""

    def current(self) -> Credentials: ...

    @property
    def name(self) -> str | None: ...

    @property
    def expires(self) -> datetime | None: ...


def check_credentials(source: Source, *, now: datetime | None = None) -> Iterator[Finding]:
    """Yield what is found about the credentials."""
    try:
        credentials = source.current()
    except CredentialsUnavailable as exc:
        yield Finding(
            "credentials.source",
            "error",
            str(exc),
            f"set {variable('aws_access_key_id')} and {variable('aws_secret_access_key')}, name a profile "
            f"({variable('aws_profile')}), or run where a "
            "role can be had",
        )
        return
    yield ok(
        "credentials.source", f"from {source.name or 'an unnamed place'}: {_shown(credentials.access_key_id)}"
    )
    yield from _kind(credentials)
    yield from _expiry(source.expires, now or datetime.now(UTC))


def _kind(credentials: Credentials) -> Iterator[Finding]:
    temporary = credentials.access_key_id.startswith(_TEMPORARY)
    if temporary and credentials.session_token is None:
        yield Finding(
            "credentials.token",
            "error",
            "the key is a temporary one (ASIA…), but has no session token",
            f"set {variable('aws_session_token')} with it, or use a source that brings both",
        )
    elif credentials.access_key_id.startswith(_LASTING) and credentials.session_token is not None:
        yield Finding(
            "credentials.token",
            "warning",
            "the key is a lasting one (AKIA…), but a session token stands beside it",
            f"unset {variable('aws_session_token')}: AWS refuses a token that doesn't belong to the key",
        )


def _expiry(expires: datetime | None, now: datetime) -> Iterator[Finding]:
    if expires is None:
        yield ok("credentials.expiry", "no end is known of")
        return
    text = f"{expires:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "renew what they come from; a role or credential_process brings new ones by itself"
    if expires <= now:
        yield Finding("credentials.expiry", "error", f"ended at {text}", remedy)
    elif expires - now <= SOON:
        yield Finding("credentials.expiry", "warning", f"end at {text}, and were not renewed in time", remedy)
    else:
        yield ok("credentials.expiry", f"good until {text}")


def _shown(key_id: str) -> str:
    return f"{key_id[:4]}…{key_id[-4:]}" if len(key_id) >= 16 else f"{key_id[:4]}…"
