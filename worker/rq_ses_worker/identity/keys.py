"""Keys that are written down: in the settings, or in a profile of a shared file.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rq_ses.settings.awsfiles import FilesUnreadable, Section, is_there
from rq_ses_worker.identity.provider import Grant, NotConfigured, ProviderFailed
from rq_ses_worker.ses.credentials import Credentials


class GivenKeys:
    """Credentials that were given, with the moment at which they end, if they do."""

    def __init__(self, credentials: Credentials, name: str, expires: datetime | None = None) -> None:
        self.name = name
        self._grant = Grant(credentials, expires)

    def load(self) -> Grant:
        """Return them."""
        return self._grant


class ProfileKeys:
    """The keys in a profile of one file, read anew at each load: somebody may rotate them there."""

    def __init__(self, kind: str, path: Path, profile: str, read: Callable[[], Section]) -> None:
        self.name = f"{kind} {path}, profile {profile}"
        self._path = path
        self._read = read

    def load(self) -> Grant | NotConfigured:
        """Return the profile's keys. Raises ProviderFailed, no value repeated, if they are incomplete."""
        if not is_there(self._path):
            return NotConfigured("there is no such file")
        try:
            section = self._read()
        except FilesUnreadable as exc:
            raise ProviderFailed(str(exc), lasting=True) from None
        if "aws_access_key_id" not in section:
            return NotConfigured("it has no aws_access_key_id")
        for name in ("aws_access_key_id", "aws_secret_access_key"):
            if not section.get(name):
                raise ProviderFailed(
                    f"{name} is {'empty' if name in section else 'missing'}: set it", lasting=True
                )
        token = section.get("aws_session_token") or section.get("aws_security_token") or None
        try:
            return Grant(Credentials(section["aws_access_key_id"], section["aws_secret_access_key"], token))
        except ValueError as exc:
            raise ProviderFailed(f"aws_{exc}", lasting=True) from None
