"""Nothing in the environment, and nothing that a server answers, changes where a mail goes."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Sent, Terminal
from support.servers.sockets import Answering
from support.ses.attempts import BODY


def test_nothing_in_the_environment_changes_what_is_sent(
    serving: Any,
    client_of: Any,
    tls: ssl.SSLContext,
    ca: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login evil password evil\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, str(tmp_path / name / "missing"))
    handler = Answering()
    client = client_of(serving(handler, tls).url, ca_bundle=ca)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert b"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDOFTHETESTS/" in handler.requests[0]
    plain = Answering()
    assert client_of(serving(plain).url.replace("127.0.0.1", "localhost")).send_body(BODY) == Sent(
        200, message_id="m-1"
    )
    assert plain.requests[0].count(b"Authorization") == 1


def test_a_trusted_authority_of_the_environment_is_not_trusted(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, ca)
    assert client_of(serving(Answering(), tls).url).send_body(BODY).code == "CertificateRefused"


def test_a_redirect_is_not_followed_and_a_cookie_not_returned(serving: Any, client_of: Any) -> None:
    elsewhere = Answering()
    target = serving(elsewhere).url
    handler = Answering(
        b"HTTP/1.1 307 Temporary Redirect\r\nSet-Cookie: a=b; Path=/\r\n"
        b"Location: %s/\r\nContent-Length: 0\r\n\r\n" % target.encode()
    )
    client = client_of(serving(handler).url)
    for _ in range(2):
        assert client.send_body(BODY) == Terminal(307)
    assert elsewhere.requests == []
    assert not any(b"cookie" in request.lower() for request in handler.requests)
