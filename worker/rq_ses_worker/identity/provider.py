"""One place that credentials may come from, and the ways in which it may have none.

    CredentialsUnavailable   there are none now; it names each place that was looked at, and why it had none

A provider's `load` returns a Grant; or NotConfigured, and the next place is looked at; or it raises
ProviderFailed: it is configured, and the next place must not be looked at, since that is another identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rq_ses.errors import RqSesError
from rq_ses.plaintext import one_line
from rq_ses_worker.credentials import Credentials

TEXT_LIMIT: Final = 300


@dataclass(frozen=True, slots=True)
class Grant:
    """Credentials, and when they end (None: they don't)."""

    credentials: Credentials
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotConfigured:
    """A place that nobody set up; `reason` says what it would take."""

    reason: str


class ProviderFailed(Exception):
    """Raised when a place that is set up gives no credentials.

    `lasting` tells that somebody must change something; otherwise it may work later. The text is made inert.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        self.lasting = lasting
        super().__init__(one_line(reason, TEXT_LIMIT))


class Provider(Protocol):
    """A place that credentials may come from."""

    @property
    def name(self) -> str:
        """What it is called in logs and errors."""

    def load(self) -> Grant | NotConfigured:
        """Fetch credentials now. Raises ProviderFailed."""


class CredentialsUnavailable(RqSesError):
    """Raised when there are no valid credentials.

    Attributes:
        tried: each place by its name, and why it had none.
        lasting: nothing is configured, or what is can't work until somebody changes it.
        retry_after: seconds until the next look is worth it.
    """

    def __init__(self, tried: Sequence[tuple[str, str]], *, lasting: bool, retry_after: float = 0.0) -> None:
        self.tried = tuple(tried)
        self.lasting = lasting
        self.retry_after = retry_after
        places = "; ".join(f"{name}: {reason}" for name, reason in self.tried)
        super().__init__(f"no AWS credentials ({places or 'no place to look at'})")


def grant(
    where: str, fields: Any, *, session_member: str = "SessionToken", must_expire: bool = False
) -> Grant:
    """Return the Grant in an answer of AWS's form: AccessKeyId, SecretAccessKey, a token, Expiration.

    Raises ProviderFailed, naming `where` and the member but no value, if one is missing or unusable.
    """
    if not isinstance(fields, dict):
        raise ProviderFailed(f"{where} is not a JSON object")
    wanted = ["AccessKeyId", "SecretAccessKey", *([session_member, "Expiration"] if must_expire else [])]
    missing = [name for name in wanted if not fields.get(name)]
    if missing:
        raise ProviderFailed(f"{where} has no {', no '.join(missing)}")
    try:
        credentials = Credentials(
            fields["AccessKeyId"], fields["SecretAccessKey"], fields.get(session_member) or None
        )
    except (TypeError, ValueError) as exc:
        raise ProviderFailed(f"{where}: {exc}") from None
    return Grant(credentials, moment(where, fields.get("Expiration")))


def moment(where: str, text: Any) -> datetime | None:
    """Return the moment of an ISO 8601 text, UTC if it has no offset. Raises ProviderFailed."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ProviderFailed(f"{where}: its Expiration is no date and time") from None
