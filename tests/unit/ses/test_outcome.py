"""What every kind of answer means for the mail, and what of it may be shown."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_ses_worker.ses.outcome import (
    Outcome,
    RateLimited,
    Sent,
    Terminal,
    Transient,
    classify,
    details,
    is_skew,
    summary,
)

ANSWERS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "ses-answers.json"
CLASSES = {"success": Sent, "rate_limited": RateLimited, "transient": Transient, "terminal": Terminal}
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKENEXAMPLETOKEN+/="


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


def test_what_answered_is_told_without_its_markup() -> None:
    page = b"<html><head><style>b { x }</style><title>413</title></head><body>Too &lt;large&gt;</body></html>"
    assert classify(413, {"content-type": "text/html"}, page).answered == "text/html: 413 Too <large>"
    assert classify(400, {"content-type": "text/html"}, b'{"__type":"X"}').answered == ""


def test_a_redirect_says_that_the_base_url_is_wrong() -> None:
    outcome = classify(307, {"Location": "https://elsewhere.example/"}, b"")
    assert summary(outcome) == "HTTP 307: the base_url does not lead to SES."


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"X-Amzn-Errortype": "A:http://x#y"}, {"__type": "B"}, "A"),
        ({"x-amzn-errortype": " "}, {"__type": "com.amazonaws.sesv2#B:http://c#d"}, "B"),
        ({}, {"__type": 3, "code": "C", "Code": "D"}, "C"),
        ({}, {"Code": "D"}, "D"),
        ({}, {"Error": {"Code": "E", "Message": "m"}}, "E"),
        ({}, {"Output": {"__type": "a.b#G:http://c", "message": None}, "Version": "1.0"}, "G"),
        ({}, {"Version": "1.0", "other": {"x": 1}, "response": {"code": "H"}}, "H"),
        ({}, {"__type": "B", "Output": {"__type": "G"}}, "B"),
        ({"x-amzn-ErrorType": "A"}, {"Output": {"__type": "G"}}, "A"),
        ({}, {"type": "F"}, None),
        ({"x-amzn-ErrorType": "#"}, {}, None),
    ],
)
def test_the_name_is_taken_from_the_header_then_type_then_code(
    headers: dict[str, str], body: dict[str, Any], code: str | None
) -> None:
    assert classify(400, headers, json.dumps(body).encode()).code == code


@pytest.mark.parametrize("word", ["message", "Message"])
def test_the_text_of_an_error_one_level_down_is_read(word: str) -> None:
    body = {"Output": {"__type": "a#UnknownOperationException", word: "No such thing."}, "Version": "1.0"}
    outcome = classify(404, {}, json.dumps(body).encode())
    assert (outcome.code, outcome.message) == ("UnknownOperationException", "No such thing.")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"<UnknownOperationException/>", "UnknownOperationException", ""),
        (b"<?xml version='1.0'?>\n<UnknownOperationException/>\n", "UnknownOperationException", ""),
        (
            b"<AccessDeniedException>\n  <Message>No &amp; no</Message>\n</AccessDeniedException>",
            "AccessDeniedException",
            "No & no",
        ),
        (
            b'<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type>'
            b"<Code>MessageRejected</Code><Message>Nope.</Message></Error><RequestId>r-2</RequestId></ErrorResponse>",
            "MessageRejected",
            "Nope.",
        ),
        (b"<Error><Code>X</Code><Message><![CDATA[a < b]]></Message></Error>", "X", "a < b"),
        (b"<html><code>Throttling</code><message>x</message></html>", None, ""),
    ],
)
def test_an_error_in_xml_is_read(body: bytes, code: str | None, message: str) -> None:
    outcome = classify(400, {}, body)
    assert (outcome.code, outcome.message) == (code, message)


def test_a_throttle_in_xml_is_rate_limited_and_its_request_id_is_kept() -> None:
    body = (
        b"<ErrorResponse><Error><Code>Throttling</Code><Message>Maximum sending rate exceeded.</Message>"
        b"</Error><RequestId>r-3</RequestId></ErrorResponse>"
    )
    assert classify(400, {}, body) == RateLimited(400, "Throttling", "Maximum sending rate exceeded.", "r-3")


def test_entities_that_an_answer_defines_are_not_expanded() -> None:
    body = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><Error><Message>&b;</Message></Error>'
    assert "aaaa" not in classify(400, {}, body).message


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


_json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_members = st.sampled_from(
    ["__type", "code", "Code", "message", "Message", "MessageId", "Error", "RequestId"]
)
_bodies = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(_members, _json_values, max_size=5).map(lambda members: json.dumps(members).encode()),
    st.lists(
        st.sampled_from(["<", ">", "</", "Code", "Message", "![CDATA[", "]]>", "&#x", ";", "x"]), max_size=30
    ).map(lambda parts: "".join(parts).encode()),
)
_header_names = st.sampled_from(
    ["x-amzn-ErrorType", "X-AMZN-REQUESTID", "Retry-After", "date", "Content-Type", "", 7, None]
)


@given(
    status=st.integers(-5, 700),
    headers=st.dictionaries(_header_names, st.none() | st.integers() | st.text(max_size=40), max_size=6),
    body=_bodies,
)
def test_no_answer_whatever_makes_classifying_or_showing_it_fail(
    status: int, headers: dict[Any, Any], body: bytes
) -> None:
    outcome = classify(status, headers, body)
    line = summary(outcome)
    assert len(line) <= 500
    assert line.isprintable()
    assert not set(line) & set("<>")
    json.dumps(details(outcome)).encode("utf-8")
    assert (200 <= status < 300) or not isinstance(outcome, Sent)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"a":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b'{"message":' + b"9" * 10_000 + b"}",
        b'{"message":NaN}',
        b"<!---->" * 50_000,
        b"<Code>" * 50_000,
        b'{"message":"' + b"The " * 200_000 + b'"}',
        b'{"message":"' + b"Authorization: " * 50_000 + b'"}',
        b'{"message":"' * 50_000,
        b" " * 1_000_000,
    ],
    ids=lambda body: body[:12].decode(),
)
@pytest.mark.timeout(30)  # a quadratic or exponential step would take minutes
def test_a_hostile_body_is_terminal_and_cheap(body: bytes) -> None:
    outcome = classify(400, {}, body)
    assert type(outcome) is Terminal
    assert summary(outcome).startswith("HTTP 400: ")


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


def test_the_summary_is_ses_own_sentence_with_its_facts_behind() -> None:
    outcome = Terminal(400, "MessageRejected", "Email address is not verified. b@example.com", "r-1")
    assert summary(outcome) == (
        "MessageRejected: Email address is not verified. b@example.com (HTTP 400, request id r-1)"
    )


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Transient(503, request_id="r"), "HTTP 503: Service Unavailable (request id r)"),
        (Terminal(400, "SerializationException"), "SerializationException (HTTP 400)"),
        (Terminal(404, message="Gone."), "HTTP 404: Gone."),
        (Transient(599, ambiguous=True), "HTTP 599 (SES may have accepted the mail)"),
        (
            Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True),
            "ReadTimeout: No answer within 5 s. (SES may have accepted the mail)",
        ),
        (Transient(), "No answer"),
        (Sent(200, message_id="m-1"), "Sent: message id m-1 (HTTP 200)"),
        (Sent(204), "Sent: message id unknown (HTTP 204)"),
    ],
)
def test_a_summary_says_what_is_known_once(outcome: Outcome, line: str) -> None:
    assert summary(outcome) == line


@pytest.mark.parametrize(
    "echo",
    [
        "It does not match.\n\nThe Canonical String for this request should have been\n'POST\n/v2\n\n"
        f"x-amz-security-token:{TOKEN}\n\nhost'\n\nThe String-to-Sign should have been\n'AWS4 {TOKEN}'",
        f"Authorization=AWS4-HMAC-SHA256 Credential=AKID/2026, SignedHeaders=host, Signature={TOKEN}",
        f"not a valid key=value pair in Authorization header: 'Credential=AKID/x Signature={TOKEN}'.",
        f'header "x-amz-security-token": "{TOKEN}" is wrong',
        f"X-Amz-Security-Token={TOKEN}&X-Amz-Signature={TOKEN}",
        f"authorization: Bearer {TOKEN}",
        f"The token {TOKEN} is expired",
    ],
)
def test_echoed_signatures_and_tokens_are_shown_nowhere(echo: str) -> None:
    outcome = classify(
        403, {"x-amzn-RequestId": TOKEN}, json.dumps({"__type": TOKEN, "message": echo}).encode()
    )
    assert outcome.message == echo
    for shown in (summary(outcome), repr(outcome), str(outcome), json.dumps(details(outcome))):
        assert TOKEN[:20] not in shown


def test_ordinary_sentences_about_signatures_and_tokens_stay_readable() -> None:
    for text in (
        "The security token included in the request is invalid.",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (… - 5 min.)",
        "Credential should be scoped to a valid region, not 'us-east-2'.",
        "The request signature we calculated does not match the signature you provided.",
    ):
        assert summary(Terminal(403, "X", text)) == f"X: {text} (HTTP 403)"


def test_a_long_text_is_cut_but_the_facts_behind_it_stay() -> None:
    line = summary(Terminal(400, "MessageRejected", "x" * 9_000, "r-1"))
    assert len(line) <= 500
    assert line.endswith("… (HTTP 400, request id r-1)")


def test_markup_and_control_characters_reach_no_page_and_no_terminal() -> None:
    outcome = Terminal(400, "<b>", "a\x1b[31m<script>\n\u202e&lt;", "<i>")
    for shown in (summary(outcome), *map(str, details(outcome).values())):
        assert shown.isprintable()
        assert not set(shown) & set("<>")


def test_details_are_ready_for_json_and_leave_out_what_is_not_known() -> None:
    assert details(Sent(200, None, "", "r", message_id="m")) == {
        "outcome": "sent",
        "status": 200,
        "message": "",
        "request_id": "r",
        "ambiguous": False,
        "message_id": "m",
    }
    assert details(Transient(code="ReadTimeout", message="Late.", ambiguous=True)) == {
        "outcome": "transient",
        "code": "ReadTimeout",
        "message": "Late.",
        "ambiguous": True,
    }
    assert details(RateLimited(429))["outcome"] == "rate_limited"
    assert details(Terminal(400))["outcome"] == "terminal"


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Terminal(400).status = 200  # type: ignore[misc]
