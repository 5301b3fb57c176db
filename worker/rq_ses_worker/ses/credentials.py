"""The AWS keys a request is signed with: one set of them, a set that may change, and that there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from rq_ses.errors import RqSesError

_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_OF_SECRETS = re.compile(r"[/+=]")
"""Base64's, as most secrets have them; a / in an id would end the first part of the credential scope."""
_KEY_ID = re.compile(r"A[KS]IA[A-Z2-7]{16}")
_SWAPPED = "key id and secret may be swapped: copy both again"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold one AWS identity; the secret key and the session token stay out of repr, str and pickles.

    Raises ValueError, naming the field and never its value, if one is empty, holds white space or a control
    character, or (key id and token, which travel in headers) isn't ASCII; or if id and secret are swapped.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check("access_key_id", self.access_key_id, in_header=True)
        _check("secret_access_key", self.secret_access_key, in_header=False)
        # The id is shown, logged and sent.
        if _OF_SECRETS.search(self.access_key_id):
            raise ValueError(f"access_key_id holds a /, + or =, as no id does; {_SWAPPED}")
        if _KEY_ID.fullmatch(self.secret_access_key):
            raise ValueError(f"secret_access_key looks like the id of a key; {_SWAPPED}")
        if self.session_token is not None:
            _check("session_token", self.session_token, in_header=True)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the values that must never be shown."""
        return tuple(value for value in (self.secret_access_key, self.session_token) if value)

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Credentials:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("Credentials are not pickled: a pickle would hold the secret in clear text")


def _check(name: str, value: object, *, in_header: bool) -> None:
    if not value:
        raise ValueError(f"{name} is empty: set it, or leave the optional session_token out")
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if _BLANK.search(value):
        raise ValueError(f"{name} holds white space or a control character: copy it again without line ends")
    if in_header and not value.isascii():
        raise ValueError(f"{name} holds a character that isn't ASCII: copy it again")


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


class RenewableCredentials(Protocol):
    """Credentials that may change while they are used; threads may share them.

    rq_ses_worker.identity.source.CredentialSource has them from where AWS's SDKs look.
    """

    def current(self) -> Credentials:
        """Return valid credentials, fetched first if need be. Raises CredentialsUnavailable."""

    def renew(self, refused: Credentials) -> bool:
        """Fetch new credentials because AWS refused these; tell whether there are others now."""


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Credentials that never change, in the form of those that may."""

    credentials: Credentials

    def current(self) -> Credentials:
        """Return them."""
        return self.credentials

    def renew(self, refused: Credentials) -> bool:
        """Tell whether `refused` are others."""
        return refused != self.credentials
