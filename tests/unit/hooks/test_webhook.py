"""A webhook's URL, what it is sent, and how its answers are taken."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from rq_ses.outcomes import Outcome
from rq_ses_worker.hooks.webhook import NotTaken, Webhook, body_of, checked_url, signature
from support.outside.webhook import App, webhook_app

KEY = b"a secret of this test"
SENT = Outcome(id="j:e", kind="sent", job_id="j", message_id="m", to=("a@example.com",), attempts=1)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/hooks/mail?token=x",
        "http://127.0.0.1:8000/",
        "http://localhost/hook",
        "https://[::1]:8443",
    ],
)
def test_a_url_that_is_encrypted_or_of_this_machine_is_taken(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://app.example.com/", "not encrypted"),
        ("https://user:tok3n@app.example.com/", "user name or password"),
        ("ftp://app.example.com/tok3n", "no URL of a server"),
        ("https:///tok3n", "no URL of a server"),
        ("https://app.example.com:0/tok3n", "no URL of a server"),
        ("https://app.example.com:x/tok3n", "no URL of a server"),
        ("https://app.example.com/tok3n#part", "no URL of a server"),
        ("https://app.example.com/\ntok3n", "no URL of a server"),
        ("tok3n", "no URL of a server"),
    ],
)
def test_another_url_is_refused_and_not_repeated(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        checked_url(url)
    assert "tok3n" not in str(refused.value)


def test_http_may_be_allowed() -> None:
    assert checked_url("http://app/hook", allow_http=True) == "http://app/hook"


def test_a_signature_is_of_the_moment_and_the_body() -> None:
    digest = hmac.new(KEY, b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signature(KEY, b"{}", 1_700_000_000) == f"t=1700000000,v1={digest}"
    assert signature(KEY, b"{}", 1_700_000_001) != signature(KEY, b"{}", 1_700_000_000)


def test_a_body_leaves_out_what_is_empty() -> None:
    assert json.loads(body_of([SENT])) == {
        "version": 1,
        "outcomes": [
            {
                "id": "j:e",
                "kind": "sent",
                "job_id": "j",
                "message_id": "m",
                "to": ["a@example.com"],
                "attempts": 1,
            }
        ],
    }


@pytest.fixture
def app() -> Iterator[App]:
    with webhook_app() as running:
        yield running


def test_outcomes_are_posted_signed(app: App) -> None:
    webhook = Webhook(app.url, KEY, 5.0, clock=lambda: 1_700_000_000.9)
    webhook([SENT])
    webhook.close()
    [(headers, body)] = app.requests
    assert body == body_of([SENT])
    assert headers["X-Rq-Ses-Signature"] == signature(KEY, body, 1_700_000_000)
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("status", "words"), [(500, "HTTP 500"), (302, "redirects"), (404, "HTTP 404")])
def test_any_answer_but_2xx_says_that_it_is_not_taken_and_no_redirect_is_followed(
    app: App, status: int, words: str
) -> None:
    app.statuses = [status]
    webhook = Webhook(app.url, KEY, 5.0)
    with pytest.raises(NotTaken, match=words) as refused:
        webhook([SENT])
    assert "tok3n" not in str(refused.value) + repr(webhook)
    assert len(app.requests) == 1
    webhook([SENT])
    webhook.close()


def test_an_app_that_is_away_has_not_taken_it() -> None:
    webhook = Webhook("http://127.0.0.1:1/tok3n", KEY, 0.5)
    with pytest.raises(NotTaken) as refused:
        webhook([SENT])
    assert "tok3n" not in str(refused.value)
    webhook.close()
