"""How the doctor judges credentials, without showing them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from rq_ses_worker.doctor.credentials import check_credentials
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from support.findings import LASTING, NOW, SECRET, TEMPORARY, TOKEN, severities


class Source:
    def __init__(self, credentials: Credentials | Exception, expires: datetime | None = None) -> None:
        self._credentials = credentials
        self.name: str | None = "profile mail"
        self.expires = expires

    def current(self) -> Credentials:
        if isinstance(self._credentials, Exception):
            raise self._credentials
        return self._credentials


@pytest.mark.parametrize(
    ("key", "token", "expires", "expected"),
    [
        (LASTING, None, None, {"credentials.expiry": "ok"}),
        (LASTING, TOKEN, None, {"credentials.token": "warning", "credentials.expiry": "ok"}),
        (TEMPORARY, None, None, {"credentials.token": "error", "credentials.expiry": "ok"}),
        (TEMPORARY, TOKEN, timedelta(hours=1), {"credentials.expiry": "ok"}),
        (TEMPORARY, TOKEN, timedelta(minutes=1), {"credentials.expiry": "warning"}),
        (TEMPORARY, TOKEN, timedelta(seconds=-1), {"credentials.expiry": "error"}),
    ],
)
def test_credentials_are_judged_by_kind_and_end_and_never_shown(
    key: str, token: str | None, expires: timedelta | None, expected: dict[str, str]
) -> None:
    source = Source(Credentials(key, SECRET, token), None if expires is None else NOW + expires)
    found = list(check_credentials(source, now=NOW))
    assert severities(found) == {"credentials.source": "ok", **expected}
    shown = repr(found)
    assert "profile mail" in shown
    assert f"{key[:4]}…{key[-4:]}" in shown
    assert not [secret for secret in (SECRET, TOKEN, key) if secret in shown]


def test_without_credentials_each_place_that_was_looked_at_is_named() -> None:
    unavailable = CredentialsUnavailable([("environment", "not set"), ("imds", "no answer")], lasting=True)
    [finding] = check_credentials(Source(unavailable))
    assert finding.severity == "error"
    assert "environment: not set; imds: no answer" in finding.text
