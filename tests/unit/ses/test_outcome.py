"""What every kind of answer means for the mail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import (
    Outcome,
    RateLimited,
    Sent,
    Terminal,
    Transient,
    classify,
    is_skew,
    summary,
)

ANSWERS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "ses-answers.json"
CLASSES = {"success": Sent, "rate_limited": RateLimited, "transient": Transient, "terminal": Terminal}
OWN_ANSWER = {
    "id": "own",
    "status": 429,
    "headers": {"x-amzn-ErrorType": "TooManyRequestsException:http://internal.amazon.com/x#y"},
    "body": '{"message":"Maximum sending rate exceeded."}',
    "expect": {
        "code": "TooManyRequestsException",
        "message": "Maximum sending rate exceeded.",
        "klass": "rate_limited",
    },
}


def _recorded() -> list[dict[str, Any]]:
    return json.loads(ANSWERS.read_text("utf-8"))["errors"] if ANSWERS.exists() else [OWN_ANSWER]


@pytest.mark.parametrize("answer", _recorded(), ids=lambda answer: answer["id"])
def test_a_recorded_answer_is_classified_as_recorded(answer: dict[str, Any]) -> None:
    outcome = classify(answer["status"], answer["headers"], answer["body"].encode())
    expected = answer["expect"]
    assert type(outcome) is CLASSES[expected["klass"]]
    assert (outcome.code, outcome.message) == (expected["code"], expected["message"])


def _answer(status: int, code: str | None = None, message: str = "") -> Outcome:
    headers = {"x-amzn-ErrorType": code} if code else {}
    return classify(status, headers, json.dumps({"message": message}).encode())


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (200, None, "", Sent),
        (202, None, "", Sent),
        (299, "ThrottlingException", "", Terminal),
        (100, None, "", Terminal),
        (101, None, "", Terminal),
        (103, None, "", Terminal),
        (301, None, "", Terminal),
        (304, None, "", Terminal),
        (400, "MessageRejected", "Email address is not verified.", Terminal),
        (400, "Throttling", "Rate exceeded", RateLimited),
        (400, "SlowDown", "", RateLimited),
        (403, "RequestLimitExceeded", "", RateLimited),
        (503, "ThrottlingException", "", RateLimited),
        (500, "TooManyRequestsException", "", RateLimited),
        (429, None, "", RateLimited),
        (429, "LimitExceededException", "Too many templates", RateLimited),
        (400, "LimitExceededException", "There are too many instances of the resource.", Terminal),
        (400, "LimitExceededException", "Maximum sending rate exceeded.", RateLimited),
        (400, "LimitExceededException", "You are over your sending quota", RateLimited),
        (400, "RequestAbortedException", "", Transient),
        (400, "RequestTimeout", "", Transient),
        (408, None, "", Transient),
        (421, None, "", Transient),
        (425, None, "", Transient),
        (500, "InternalServiceErrorException", "", Transient),
        (503, None, "", Transient),
        (599, None, "", Transient),
        (401, None, "", Terminal),
        (404, "NotFoundException", "", Terminal),
        (413, None, "", Terminal),
        (418, None, "", Terminal),
        (451, None, "", Terminal),
    ],
)
def test_status_code_and_text_decide_the_class(
    status: int, code: str | None, message: str, kind: type[Outcome]
) -> None:
    outcome = _answer(status, code, message)
    assert type(outcome) is kind
    assert (outcome.status, outcome.code) == (status, code)


@pytest.mark.parametrize("status", [500, 502, 504, 520, 524])
def test_after_these_answers_ses_may_have_accepted_the_mail(status: int) -> None:
    assert _answer(status).ambiguous


_ENVOY = "upstream connect error or disconnect/reset before headers. "


@pytest.mark.parametrize(
    ("words", "ambiguous"),
    [
        (_ENVOY + "reset reason: connection termination", True),
        (_ENVOY + "reset reason: remote reset", True),
        (_ENVOY + "retried and the latest reset reason: connection failure", True),
        (_ENVOY + "reset reason: connection failure", False),
        (_ENVOY + "reset reason: remote connection failure, transport failure reason: refused", False),
        (_ENVOY + "reset reason: overflow", False),
        ("<!DOCTYPE html><title>503 Backend fetch failed</title>", True),
        ("<html><h1>503 Service Unavailable</h1>No server is available.</html>", False),
    ],
)
def test_a_proxy_that_lost_ses_behind_the_request_leaves_a_doubt(words: str, ambiguous: bool) -> None:
    assert classify(503, {"Content-Type": "text/plain"}, words.encode()).ambiguous is ambiguous


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 103, 199])
def test_after_an_answer_that_is_none_ses_may_have_accepted_the_mail(status: int) -> None:
    assert _answer(status).ambiguous


@pytest.mark.parametrize("status", [200, 301, 304, 307, 308, 400, 403, 408, 421, 425, 429, 501, 503])
def test_after_these_answers_it_is_certain_what_ses_did(status: int) -> None:
    assert not _answer(status).ambiguous


@pytest.mark.parametrize(
    ("message", "quota"),
    [
        ("Daily message quota exceeded", True),
        ("Daily sending quota exceeded.", True),
        ("Maximum 24-hour send quota reached", True),
        ("Sending quota exceeded", True),
        ("Maximum sending rate exceeded.", False),
        ("Rate exceeded", False),
        ("", False),
    ],
)
def test_only_the_text_tells_the_days_quota_from_the_rate(message: str, quota: bool) -> None:
    outcome = _answer(429, "TooManyRequestsException", message)
    assert isinstance(outcome, RateLimited)
    assert outcome.quota is quota


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"MessageId":"0100-a"}', "0100-a"),
        (b'\xef\xbb\xbf{"MessageId":"0100-a"}', "0100-a"),
        (b'{"MessageId":"0100-a","x":', "0100-a"),
        (b"<SendEmailResult><MessageId>0100-a</MessageId></SendEmailResult>", "0100-a"),
        (b'{"MessageId":"01', None),
        (b'{"MessageId":17}', None),
        (b'{"MessageId":""}', None),
        (b"{}", None),
        (b"", None),
        (b" \n", None),
        (b"{\xff\xfe\x00", None),
    ],
)
def test_any_accepted_mail_is_sent_whether_its_id_is_known_or_not(
    body: bytes, message_id: str | None
) -> None:
    outcome = classify(200, {"Content-Type": "application/json", "X-AMZN-REQUESTID": "r-1"}, body)
    assert outcome == Sent(200, None, "", "r-1", message_id=message_id)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"<!DOCTYPE html><html><body>Welcome</body></html>"),
        ("text/html; charset=utf-8", b"\n<!-- a -->\n<html>"),
        ("text/html", b"Log in first"),
        ("application/xml", b"<?xml version='1.0'?><hello/>"),
        ("text/plain", b"OK"),
        ("application/json", b"[]"),
        ("application/json", b"null"),
        ("application/json", b'"queued"'),
        ("application/octet-stream", b"\xff\xfe\x00"),
    ],
)
@pytest.mark.parametrize("status", [200, 202, 299])
def test_an_acceptance_that_is_not_ses_own_is_in_doubt_and_says_so(
    status: int, content_type: str, body: bytes
) -> None:
    outcome = classify(status, {"Content-Type": content_type}, body)
    assert (type(outcome), outcome.ambiguous) == (Terminal, True)
    assert summary(outcome) == f"HTTP {status}: the answer is not SES's. (SES may have accepted the mail)"
    assert outcome.answered.startswith(content_type)


@pytest.mark.parametrize("status", [300, 302, 307, 400, 401, 403, 404, 405, 413, 418])
@pytest.mark.parametrize("body", [b"<html>no</html>", b"no", b"[]", b"\xff"])
def test_a_strangers_refusal_is_one_and_not_in_doubt(status: int, body: bytes) -> None:
    outcome = classify(status, {"Content-Type": "text/html"}, body)
    assert (type(outcome), outcome.ambiguous) == (Terminal, False)


def test_an_acceptance_that_names_an_error_is_in_doubt() -> None:
    body = b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}'
    outcome = classify(200, {}, body)
    assert (type(outcome), outcome.ambiguous) == (Terminal, True)
    assert summary(outcome) == (
        "UnknownOperationException: the answer is not SES's. (HTTP 200, SES may have accepted the mail)"
    )
    assert type(classify(200, {"x-amzn-ErrorType": "Odd"}, b'{"MessageId":"m-1"}')) is Sent


def test_a_redirect_says_that_the_base_url_is_wrong() -> None:
    outcome = classify(307, {"Location": "https://elsewhere.example/"}, b"")
    assert summary(outcome) == "HTTP 307: the base_url does not lead to SES."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 5000}, 86_400.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT", "Date": "Thu, 01 Jan 2026 00:00:20 GMT"}, 10.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}, None),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:10 GMT", "Date": "Thu, 01 Jan 2026 00:00:20 GMT"}, None),
        ({"Retry-After": "Thu, 99 Jan 2026 00:00:10 GMT", "Date": "Thu, 01 Jan 2026 00:00:20 GMT"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date_counted_from_the_answers_own(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    outcome = classify(status, headers, b"")
    assert isinstance(outcome, RateLimited | Transient)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize(
    ("code", "message", "skew"),
    [
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than …", True),
        ("SignatureDoesNotMatch", "Signature not yet current: 20260101T092200Z is still later …", True),
        ("RequestExpired", "Request has expired.", True),
        ("RequestTimeTooSkewed", "", True),
        ("RequestInTheFuture", "", True),
        ("InvalidSignatureException", "The request signature we calculated does not match …", False),
        ("AuthFailure", "", False),
        ("ExpiredTokenException", "The security token included in the request is expired", False),
    ],
)
def test_a_wrong_clock_is_told_from_a_wrong_key(code: str, message: str, skew: bool) -> None:
    assert is_skew(_answer(403, code, message)) is skew


def test_what_is_not_terminal_is_never_taken_for_a_wrong_clock() -> None:
    assert not is_skew(_answer(503, None, "Signature expired"))
