"""What the client sends and how it reads what comes back, without a network."""

from __future__ import annotations

import base64
import html
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
import requests
import responses
import urllib3.exceptions as u3

from rq_ses.message.message import Message
from rq_ses.message.render import send_email_body
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import (
    Outcome,
    RateLimited,
    Sent,
    Terminal,
    Transient,
    described,
    details,
    summary,
)
from rq_ses_worker.ses.sigv4 import Credentials
from rq_ses_worker.ses.wire.deadline import Timeout
from rq_ses_worker.ses.wire.route import Route
from support.ses.signed import NOW, SECRET, TOKEN, botocore_authorization

URL = "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails"
BODY = b'{"Content":{}}'
EXPIRED = {"message": "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (…)"}


def as_botocore_signs(request: Any, now: datetime) -> str:
    described = {"Content-Type": request.headers["Content-Type"]}
    return botocore_authorization(request.method, request.url, described, request.body, now)


def test_a_mail_is_sent_and_its_message_id_returned(ses: responses.RequestsMock, client: SesClient) -> None:
    ses.post(URL, json={"MessageId": "m-1"}, headers={"x-amzn-RequestId": "r-1"})
    message = Message(sender="a@example.com", to=["b@example.com"], subject="Hello", text="Body")
    assert client.send(message) == Sent(200, None, "", "r-1", message_id="m-1")
    assert ses.calls[0].request.body == send_email_body(message)


def test_what_is_sent_is_what_botocore_would_sign(ses: responses.RequestsMock, client: SesClient) -> None:
    ses.post(URL, json={})
    client.send_body(BODY)
    request = ses.calls[0].request
    assert request.body == BODY
    assert request.headers["Authorization"] == as_botocore_signs(request, NOW)
    assert (
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in request.headers["Authorization"]
    )
    assert request.headers["X-Amz-Security-Token"] == TOKEN
    assert request.headers["Content-Length"] == str(len(BODY))
    assert request.headers["Host"] == "email.us-east-1.amazonaws.com"
    assert request.headers["User-Agent"].startswith("rq-ses/")


def test_without_a_token_none_is_sent(ses: responses.RequestsMock) -> None:
    ses.post(URL, json={})
    with SesClient(Credentials("AKID", SECRET), Endpoint("us-east-1")) as client:
        client.send_body(BODY)
    assert "X-Amz-Security-Token" not in ses.calls[0].request.headers


@pytest.mark.parametrize(
    ("status", "kind"), [(200, Sent), (429, RateLimited), (503, Transient), (400, Terminal), (307, Terminal)]
)
def test_an_answer_is_classified_and_never_followed_or_repeated(
    ses: responses.RequestsMock, client: SesClient, status: int, kind: type[Outcome]
) -> None:
    ses.post(URL, status=status, body=b"{}", headers={"Location": "https://elsewhere.example/"})
    outcome = client.send_body(BODY)
    assert (type(outcome), outcome.status) == (kind, status)
    assert len(ses.calls) == 1


def test_a_wrong_clock_is_set_by_ses_and_the_request_signed_once_more(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.post(URL, status=403, json=EXPIRED, headers={"Date": "Thu, 01 Jan 2026 00:20:00 GMT"})
    ses.post(URL, json={"MessageId": "m-1"})
    ses.post(URL, json={"MessageId": "m-2"})
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert client.send_body(BODY) == Sent(200, message_id="m-2")
    stamps = [call.request.headers["X-Amz-Date"] for call in ses.calls]
    assert stamps == ["20260101T000000Z", "20260101T002000Z", "20260101T002000Z"]
    last = ses.calls[2].request
    assert last.headers["Authorization"] == as_botocore_signs(last, NOW + timedelta(minutes=20))


def test_a_clock_that_stays_wrong_is_terminal_after_the_second_attempt(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.post(URL, status=403, json=EXPIRED, headers={"date": "Thu, 01 Jan 2026 00:20:00 GMT"})
    outcome = client.send_body(BODY)
    assert type(outcome) is Terminal
    assert len(ses.calls) == 2


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_without_a_sane_date_a_wrong_clock_is_terminal_at_once(
    ses: responses.RequestsMock, client: SesClient, date: str | None
) -> None:
    ses.post(URL, status=403, json=EXPIRED, headers={"Date": date} if date is not None else {})
    assert type(client.send_body(BODY)) is Terminal
    assert len(ses.calls) == 1
    assert type(client.send_body(BODY)) is Terminal


def _unreached(reason: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(u3.MaxRetryError(mock.Mock(), "/", reason))


@pytest.mark.parametrize(
    ("failure", "code", "ambiguous"),
    [
        (_unreached(u3.NewConnectionError(mock.Mock(), "x")), "ConnectionFailed", False),
        (
            _unreached(u3.NameResolutionError("host", mock.Mock(), OSError("x"))),
            "NameResolutionFailed",
            False,
        ),
        (
            requests.ConnectTimeout(u3.MaxRetryError(mock.Mock(), "/", u3.ConnectTimeoutError())),
            "ConnectTimeout",
            False,
        ),
        (requests.exceptions.ProxyError("x"), "ProxyError", False),
        (requests.exceptions.SSLError(u3.SSLError("wrong version number")), "TlsHandshakeFailed", False),
        (requests.ReadTimeout("x"), "ReadTimeout", True),
        (requests.ConnectionError(u3.ProtocolError("x", ConnectionResetError())), "ConnectionClosed", True),
        (requests.ConnectionError(u3.ReadTimeoutError(mock.Mock(), "/", "x")), "ReadTimeout", True),
        (requests.exceptions.InvalidHeader("x"), "InvalidAnswer", True),
        (ConnectionResetError("x"), "ConnectionClosed", True),
    ],
)
def test_an_exception_becomes_a_transient_outcome_that_says_whether_ses_can_have_the_mail(
    ses: responses.RequestsMock, client: SesClient, failure: Exception, code: str, ambiguous: bool
) -> None:
    ses.post(URL, body=failure)
    outcome = client.send_body(BODY)
    assert type(outcome) is Transient
    assert (outcome.status, outcome.code, outcome.ambiguous) == (None, code, ambiguous)
    assert outcome.message.endswith(".")
    assert len(ses.calls) == 1


@pytest.mark.parametrize("secret", [SECRET, TOKEN, SECRET.replace("/", "%2F").replace("+", "%2B")])
def test_a_secret_that_an_answer_echoes_stays_out_of_the_outcome(
    ses: responses.RequestsMock, client: SesClient, secret: str
) -> None:
    ses.post(
        URL,
        status=400,
        json={"__type": "X", "message": f"no {secret} here"},
        headers={"x-amzn-RequestId": secret},
    )
    outcome = client.send_body(BODY)
    assert outcome.message == "no *** here"
    assert outcome.request_id == "***"


@pytest.mark.parametrize(
    "echo",
    [
        TOKEN[:40],
        TOKEN[-40:],
        TOKEN[20:60],
        quote(TOKEN, safe="").lower(),
        html.escape(TOKEN).replace("=", "&#61;"),
        TOKEN.replace("/", "\\/").replace("=", "\\u003d"),
        base64.b64encode(f"token={TOKEN}".encode()).decode()[12:],
        quote(SECRET, safe="")[:-3],
    ],
)
@pytest.mark.parametrize("pad", [0, 460, 8150])
def test_an_echo_of_a_secret_that_is_cut_or_encoded_is_shown_nowhere(
    ses: responses.RequestsMock, client: SesClient, echo: str, pad: int
) -> None:
    text = f"{'x ' * (pad // 2)}no {echo}"
    ses.post(URL, status=400, json={"__type": "X", "message": text}, headers={"x-amzn-RequestId": echo})
    ses.post(URL, status=400, body=f"{text} here", content_type="text/plain")
    for _ in range(2):
        outcome = client.send_body(BODY)
        shown = f"{outcome} {summary(outcome)} {described(outcome)} {details(outcome)} {outcome.message}"
        shown += f"{outcome.answered} {outcome.request_id}"
        assert [part for part in (echo[at : at + 20] for at in range(len(echo) - 19)) if part in shown] == []


def test_an_echo_in_the_answer_to_a_question_is_shown_nowhere(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    for body in (f'{{"EnforcementStatus":"{TOKEN[:50]}"}}', f"<html>{quote(TOKEN)}</html>", TOKEN):
        ses.get("https://email.us-east-1.amazonaws.com/v2/email/account", body=body)
        with pytest.raises(AccountRefused) as caught:
            client.get_account()
        assert "IQoJb3JpZ2lu" not in f"{caught.value} {caught.value.outcome.answered}"


def test_a_proxys_password_that_it_echoes_is_shown_nowhere(ses: responses.RequestsMock) -> None:
    ses.post(URL, status=407, body="no: hunter2-and-more, dXNlcjpodW50ZXIyLWFuZC1tb3Jl")
    client = _client(Route("http://user:hunter2-and-more@127.0.0.1:9"))
    outcome = client.send_body(BODY)
    assert outcome.answered == "text/plain: no: ***, ***"


def test_a_stand_ins_short_secret_does_not_star_out_ordinary_words(ses: responses.RequestsMock) -> None:
    ses.post(URL, status=400, json={"message": "test@example.com is not verified"})
    with SesClient(Credentials("test", "test"), Endpoint("us-east-1")) as client:
        assert client.send_body(BODY).message == "test@example.com is not verified"


def test_secrets_are_neither_logged_nor_shown(
    ses: responses.RequestsMock, client: SesClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ses.post(URL, status=500, body=b"")
    outcome = client.send_body(BODY)
    shown = f"{client!r} {client} {outcome!r} {summary(outcome)} {details(outcome)} {caplog.text}"
    assert SECRET not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_least_rate_must_be_a_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="min_upload_rate"):
        Timeout(min_upload_rate=rate)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_must_be_a_time(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Timeout(timeout)


def _client(route: Route, **options: Any) -> SesClient:
    return SesClient(Credentials("AKID", SECRET), Endpoint("us-east-1"), route, **options)


def test_a_pool_needs_a_connection() -> None:
    with pytest.raises(ValueError, match="pool_size"):
        _client(Route(), pool_size=0)


def test_a_ca_bundle_must_exist_and_hold_certificates(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for bundle in (empty, tmp_path / "missing.pem"):
        with pytest.raises(ValueError, match=r"ca_bundle .* cannot be loaded"):
            _client(Route(ca_bundle=str(bundle)))


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy:3128",
        "socks5://user:hunter2@proxy",
        "user:hunter2@proxy:1",
        "http://user:hunter2@",
        "http://user:hunter2@proxy:99999",
        "http://user:hunter2@proxy/path",
        "http://user:hunter2@proxy?x",
        "http://user:hunter2\n@proxy\n",
        "http://user:hunter2☃@proxy",
    ],
)
def test_an_unusable_proxy_is_refused_without_repeating_its_password(proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy") as caught:
        _client(Route(proxy))
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_the_endpoint_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="base_url"):
        Endpoint("us-east-1", "http://ses.example")
    with pytest.raises(ValueError, match="region"):
        Endpoint("nowhere")
