"""An answer is read whoever wrote it, as JSON, XML or neither, and nothing in it makes reading fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_ses_worker.ses.outcome import RateLimited, Sent, Terminal, classify, details, summary


def test_what_answered_is_told_without_its_markup() -> None:
    page = b"<html><head><style>b { x }</style><title>413</title></head><body>Too &lt;large&gt;</body></html>"
    assert classify(413, {"content-type": "text/html"}, page).answered == "text/html: 413 Too <large>"
    assert classify(400, {"content-type": "text/html"}, b'{"__type":"X"}').answered == ""


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
