"""One source of credentials for all threads, which keeps them fresh.

Credentials that end are fetched anew before they do: from a quarter of an hour before their end on (less for
short ones) one thread fetches while the others go on with the old ones; in the last ten minutes all wait.
That is how AWS's SDKs do it. If it fails, the old ones are used as long as they are valid.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from rq_ses_worker.identity.keys import GivenKeys
from rq_ses_worker.identity.provider import Grant, NotConfigured, Provider, ProviderFailed
from rq_ses_worker.logging import events
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable

log = logging.getLogger(__name__)

Search = Callable[[], tuple[Provider, Grant]]
"""Finds the first place that has credentials, and these; raises CredentialsUnavailable."""

ADVISORY: Final = 900.0
"""Seconds before the end in which new ones are fetched, but at most a quarter of their life."""

MANDATORY: Final = 600.0
"""Seconds before the end in which everybody waits for new ones, but at most a sixth of their life."""

_FIRST_PAUSE: Final = 1.0
"""Seconds after a failed fetch; each further one in a row doubles them."""
_LONGEST_PAUSE: Final = 30.0
_RENEWAL_PAUSE: Final = 5.0
"""Seconds between two fetches of credentials in place of refused ones."""


@dataclass(frozen=True, slots=True)
class _Held:
    credentials: Credentials
    expires: float = inf
    """Epoch seconds, as the next two."""
    advisory: float = inf
    mandatory: float = inf


class CredentialSource:
    """Hand out valid credentials to any number of threads.

    `search` is asked once; from then on the place it found is asked alone. `clock` gives epoch seconds.
    """

    def __init__(
        self,
        search: Search,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._search = search
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._provider: Provider | None = None
        # Replaced as a whole, so that it is read without the lock.
        self._held: _Held | None = None
        self._failure: CredentialsUnavailable | None = None
        self._pause = _FIRST_PAUSE
        self._again_at = -inf
        self._renew_at = -inf

    @classmethod
    def of(
        cls, credentials: Credentials, name: str = "given keys", expires: datetime | None = None
    ) -> CredentialSource:
        """Return a source that has these and no others, until they end if they do."""
        keys = GivenKeys(credentials, name, expires)
        source = cls(lambda: (keys, keys.load()))
        if expires is None:
            source._provider, source._held = keys, _Held(credentials)
        return source

    def current(self) -> Credentials:
        """Return valid credentials, fetched first if need be. Raises CredentialsUnavailable."""
        held = self._held
        if held is not None and self._clock() < held.advisory:
            return held.credentials
        return self._refreshed(held)

    def renew(self, refused: Credentials) -> bool:
        """Fetch new credentials because AWS refused these; tell whether there are others now.

        At most one fetch in five seconds, whoever asks.
        """
        with self._lock:
            held = self._held
            if held is None or held.credentials != refused:
                return True
            if self._monotonic() < self._renew_at:
                return False
            try:
                self._fetch()
            except CredentialsUnavailable as exc:
                self._note(exc)
            # From the end on: a fetch may take half a minute, and those who waited for it must not repeat it.
            self._renew_at = self._monotonic() + _RENEWAL_PAUSE
            return self._held is not held and self._held is not None and self._held.credentials != refused

    @property
    def name(self) -> str | None:
        """The place that the credentials come from; None until they were fetched once."""
        return None if self._provider is None else self._provider.name

    @property
    def expires(self) -> datetime | None:
        """When the credentials at hand end; None if they don't, or there are none."""
        held = self._held
        return None if held is None or held.expires == inf else datetime.fromtimestamp(held.expires, UTC)

    def __str__(self) -> str:
        held = self._held
        if held is None:
            return "no credentials yet"
        ends = f", valid until {self.expires:%Y-%m-%d %H:%M:%S} UTC" if self.expires else ""
        return f"{self.name} ({_shown(held.credentials.access_key_id)}){ends}"

    def __repr__(self) -> str:
        return f"<CredentialSource: {self}>"

    def _refreshed(self, seen: _Held | None) -> Credentials:
        now = self._clock()
        urgent = seen is None or now >= seen.mandatory
        if not self._lock.acquire(blocking=urgent):
            # Not urgent, so there are some; another thread fetches.
            return self._valid(seen)
        try:
            held = self._held
            if held is not seen and held is not None and self._clock() < held.advisory:
                return held.credentials
            if self._monotonic() >= self._again_at:
                try:
                    self._fetch()
                except CredentialsUnavailable as exc:
                    self._note(exc)
            return self._valid(self._held)
        finally:
            self._lock.release()

    def _valid(self, held: _Held | None) -> Credentials:
        if held is not None and self._clock() < held.expires:
            return held.credentials
        failure = self._failure
        tried = failure.tried if failure else ((self.name or "credentials", "they have expired"),)
        lasting = failure.lasting if failure else False
        wait = max(0.0, self._again_at - self._monotonic())
        raise CredentialsUnavailable(tried, lasting=lasting, retry_after=wait)

    def _fetch(self) -> None:
        """Replace what is held; the lock must be held."""
        provider, found = self._load()
        now = self._clock()
        held = _Held(found.credentials)
        if found.expires is not None:
            expires = found.expires.timestamp()
            life = expires - now
            if life <= 0:
                reason = (
                    f"what it gives ended at {found.expires:%Y-%m-%d %H:%M:%S} UTC: check it, and this clock"
                )
                raise CredentialsUnavailable([(provider.name, reason)], lasting=False)
            held = _Held(
                found.credentials,
                expires,
                expires - min(ADVISORY, life / 4),
                expires - min(MANDATORY, life / 6),
            )
        self._provider, self._held = provider, held
        if self._failure is not None:
            events.CREDENTIALS_BACK.log(log, source=str(self))
        self._failure, self._pause, self._again_at = None, _FIRST_PAUSE, -inf

    def _load(self) -> tuple[Provider, Grant]:
        provider = self._provider
        if provider is None:
            return self._search()
        try:
            found = provider.load()
        except ProviderFailed as exc:
            raise CredentialsUnavailable([(provider.name, str(exc))], lasting=exc.lasting) from exc
        if isinstance(found, NotConfigured):
            raise CredentialsUnavailable([(provider.name, found.reason)], lasting=True)
        return provider, found

    def _note(self, failure: CredentialsUnavailable) -> None:
        """Remember a failure and when to look again; log the first of a row."""
        if self._failure is None:
            left = f"; the old ones are used until {self.expires or 'they are refused'}" if self._held else ""
            # That nothing was ever set up is for the caller to tell.
            level = logging.DEBUG if self._provider is None and failure.lasting else logging.WARNING
            events.CREDENTIALS_MISSED.log(log, level=level, error=str(failure), left=left)
        self._failure = failure
        self._again_at = self._monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def _shown(key_id: str) -> str:
    return key_id if len(key_id) < 12 else f"{key_id[:4]}…{key_id[-4:]}"
