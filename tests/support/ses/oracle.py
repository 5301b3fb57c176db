"""Signatures by botocore, the oracle of the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID, SECRET = "AKIDOFTHETESTS", "secret/of+the/tests/0123456789abcdefghij"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def suite_case() -> dict[str, Any]:
    """Return a case in the form of AWS's signature suite, made and signed here."""
    headers = [
        ["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"],
        ["Host", "service.example.com"],
        ["X-Amz-Date", "20260102T030405Z"],
    ]
    target = "/a/b%20c?B=2&A=%2F&B=1&C="
    request = AWSRequest("POST", f"https://service.example.com{target}", headers=dict(headers), data=b"x=1")
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        SigV4Auth(Credentials(KEY_ID, SECRET), "service", "eu-west-1").add_auth(request)
    authorization = str(request.headers["Authorization"])
    return {
        "name": "own",
        "request": {"method": "POST", "target": target, "headers": headers, "body": "x=1"},
        "credentials": {"access_key_id": KEY_ID, "secret_access_key": SECRET},
        "region": "eu-west-1",
        "service": "service",
        "timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "expected": {
            "authorization": authorization,
            "signature": authorization.rpartition("Signature=")[2],
        },
    }


def get_account() -> dict[str, Any]:
    """Return a signed GetAccount request in the form of the recorded ones."""
    url = "https://email.us-east-1.amazonaws.com/v2/email/account"
    request = AWSRequest("GET", url)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        SigV4Auth(Credentials(KEY_ID, SECRET), "ses", "us-east-1").add_auth(request)
    stamp = str(request.headers["X-Amz-Date"])
    return {
        "name": "own",
        "method": "GET",
        "url": url,
        "headers": [["X-Amz-Date", stamp]],
        "body": "",
        "region": "us-east-1",
        "timestamp": stamp,
        "credentials": {"access_key_id": KEY_ID, "secret_access_key": SECRET, "session_token": None},
        "authorization": str(request.headers["Authorization"]),
    }
