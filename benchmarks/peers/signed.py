"""Sending by requests or urllib3 alone, signed with our signer: the least a sender in Python can do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from rq_ses_worker.ses.sigv4 import Credentials, sign

_PATH = "/v2/email/outbound-emails"
_CREDENTIALS = Credentials("AKIDOFTHETESTS", "secret/of+the/tests/0123456789abcdefghij")


@cache
def _pool() -> urllib3.HTTPConnectionPool:
    options: dict[str, Any] = {"maxsize": int(os.environ["BENCH_THREADS"]), "retries": False, "timeout": 5.0}
    if os.environ.get("BENCH_CA"):
        options["ca_certs"] = os.environ["BENCH_CA"]
    return urllib3.connection_from_url(os.environ["BENCH_SES_URL"], **options)


@cache
def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = os.environ.get("BENCH_CA") or True
    adapter = HTTPAdapter(pool_maxsize=int(os.environ["BENCH_THREADS"]))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _signed(request: Mapping[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    url = os.environ["BENCH_SES_URL"] + _PATH
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    added = sign("POST", url, headers, body, _CREDENTIALS, "us-east-1", now=datetime.now(UTC))
    return url, body, {**headers, **added}


def by_urllib3(request: Mapping[str, Any]) -> int:
    """Send one mail over urllib3's connection pool and return the status of the answer."""
    _, body, headers = _signed(request)
    answer = _pool().urlopen("POST", _PATH, body=body, headers=headers, redirect=False)
    if answer.status == 200:
        json.loads(answer.data)
    return answer.status


def by_requests(request: Mapping[str, Any]) -> int:
    """Send one mail over one requests.Session and return the status of the answer."""
    url, body, headers = _signed(request)
    answer = _session().post(url, data=body, headers=headers, timeout=5.0, allow_redirects=False)
    if answer.status_code == 200:
        answer.json()
    return answer.status_code
