"""One place that credentials may come from, and the ways in which it may have none.

A provider's `load` returns a Grant; or NotConfigured, and the next place is looked at; or it raises
ProviderFailed: it is configured, and the next place must not be looked at, since that is another identity.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rq_ses.text.plaintext import one_line
from rq_ses_worker.ses.credentials import Credentials

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


def read_json(text: str | bytes, *, otherwise: str) -> Any:
    """Return what a JSON text holds. Raises ProviderFailed, saying what is `otherwise`, if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # Not chained: the cause holds the text, and so a secret.
        raise ProviderFailed(otherwise) from None


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
