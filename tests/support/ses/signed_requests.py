"""Requests to a simulator over HTTP, signed by botocore."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.waiting import PATIENCE

KEY, SECRET = "AKIDSIMULATOR", "simulator-secret"
PATH = "/v2/email/outbound-emails"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)


def mail(*to: str, sender: str = "Alerts <alerts@example.com>", text: str = "Body") -> bytes:
    simple = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": text}}}
    request = {"FromEmailAddress": sender, "Destination": {"ToAddresses": to}, "Content": {"Simple": simple}}
    return json.dumps(request).encode()


def signed(
    url: str,
    body: bytes = b"",
    method: str = "POST",
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = "us-east-1",
) -> dict[str, str]:
    request = AWSRequest(method, url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(key, secret, token), "ses", region).add_auth(request)
    return dict(request.headers.items())


def send(
    http: requests.Session, base_url: str, *to: str, text: str = "Body", **signing: Any
) -> requests.Response:
    body = mail(*to, text=text)
    return http.post(
        base_url + PATH, data=body, headers=signed(base_url + PATH, body, **signing), timeout=PATIENCE
    )


def get_account(http: requests.Session, base_url: str) -> requests.Response:
    url = base_url + "/v2/email/account"
    return http.get(url, headers=signed(url, method="GET"), timeout=PATIENCE)


def told(response: requests.Response) -> tuple[int, str | None, Any]:
    return response.status_code, response.headers.get("x-amzn-ErrorType"), response.json().get("message")


def exchange_raw(base_url: str, line: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    url = urlsplit(base_url)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(f"{line}\r\n{head}Connection: close\r\n\r\n".encode() + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
