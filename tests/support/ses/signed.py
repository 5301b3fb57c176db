"""The tests' credentials and moment, and how botocore signs what the client has sent with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from rq_ses_worker.ses.credentials import Credentials

SECRET = "secret/of+the/tests/0123456789abcdefghij"
TOKEN = "IQoJb3JpZ2luX2VjEOf//////////wExampleOfTheTestsNotAToken0123456789abcdef=="
CREDENTIALS = Credentials("AKID", SECRET, TOKEN)
NOW = datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC)


def botocore_authorization(
    method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> str:
    """Return the Authorization that an independent signer gives to a request."""
    request = AWSRequest(method, url, dict(headers), body)
    signer = SigV4Auth(BotoCredentials("AKID", SECRET, TOKEN), "ses", "us-east-1")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        signer.add_auth(request)
    return str(request.headers["Authorization"])
