"""RawMessage: bytes that stay what they are, and the envelope they travel in."""

from __future__ import annotations

import copy
import json
import pickle
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rq_ses import Message, RawMessage, explain
from rq_ses.message.raw import MAX_MIME
from rq_ses.message.reading import read_message, stated
from rq_ses.message.render import send_email_body, send_email_request

MIME = b"From: Ann <a@example.com>\r\nTo: b@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"
FIELDS: dict[str, Any] = {"data": MIME, "to": "b@example.com"}


def problems(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        RawMessage(**{**FIELDS, **fields})
    return explain(caught.value)


def problem(**fields: Any) -> str:
    (line,) = problems(**fields)
    return line


def mail(body: bytes, head: bytes = b"From: a@example.com\r\n") -> bytes:
    return head + b"\r\n" + body


@given(
    st.binary(max_size=200).map(lambda body: body.replace(b"\0", b"\xff")), st.sampled_from([None, "a@x.yy"])
)
def test_a_payload_is_read_back_byte_for_byte(body: bytes, sender: str | None) -> None:
    message = RawMessage(data=mail(body), to=["B <b@example.com>", "c@müller.example"], sender=sender)
    assert message.data == mail(body)
    payload = message.to_payload()
    for again in (
        RawMessage.model_validate_json(payload),
        RawMessage.from_payload(json.loads(payload)),
        RawMessage.model_validate(message.model_dump()),
        read_message(json.loads(payload)),
        copy.deepcopy(message),
        pickle.loads(pickle.dumps(message)),
    ):
        assert again == message
        assert hash(again) == hash(message)
        assert again.to_payload() == payload


def test_the_request_holds_the_bytes_and_the_envelope() -> None:
    data = mail(b"caf\xe9 \xff\xfe\r\n", b"From: a@example.com\nSubject: =?utf-8?q?=C3=96l?=\n")
    message = RawMessage(
        data=data, to=["Jörg <j@müller.example>"], sender="Shop <s@example.com>",
        tags={"kind": "order"}, configuration_set="prod",
    )  # fmt: skip
    request = send_email_request(message)
    assert json.loads(send_email_body(message)) == request
    assert b64decode(request["Content"]["Raw"].pop("Data"), validate=True) == data
    assert request == {
        "FromEmailAddress": "Shop <s@example.com>",
        "Destination": {"ToAddresses": ["=?UTF-8?B?SsO2cmc=?= <j@xn--mller-kva.example>"]},
        "Content": {"Raw": {}},
        "EmailTags": [{"Name": "kind", "Value": "order"}],
        "ConfigurationSetName": "prod",
    }


@pytest.mark.parametrize(
    ("header", "given", "expected"),
    [
        (b"", {}, {"rq-ses-job": "j-1"}),
        (b"", {"kind": "order"}, {"kind": "order", "rq-ses-job": "j-1"}),
        (b"x-ses-message-TAGS : a=1,\r\n b = 2\r\n", {}, {"a": "1", "b": "2", "rq-ses-job": "j-1"}),
        (b"X-SES-MESSAGE-TAGS: rq-ses-job=other\r\n", {}, {"rq-ses-job": "j-1"}),
        (b"X-SES-MESSAGE-TAGS: a=1\r\n", {"kind": "order"}, {"kind": "order", "rq-ses-job": "j-1"}),
        (b"X-SES-MESSAGE-TAGS: a=1, what?\r\n", {}, {}),
    ],
)
def test_the_jobs_id_stands_beside_the_tags_of_the_request_or_of_the_header(
    header: bytes, given: dict[str, str], expected: dict[str, str]
) -> None:
    message = RawMessage(data=mail(b"x", b"From: a@example.com\r\n" + header), to="b@example.com", tags=given)
    tags = send_email_request(message, "j-1").get("EmailTags", [])
    assert {tag["Name"]: tag["Value"] for tag in tags} == expected


def test_without_a_sender_ses_takes_the_one_of_the_header() -> None:
    assert send_email_request(RawMessage(**FIELDS)) == {
        "Destination": {"ToAddresses": ["b@example.com"]},
        "Content": {"Raw": {"Data": b64encode(MIME).decode()}},
    }
    headless = b"Subject: Hi\n\nHello"
    assert problem(data=headless) == "sender: is missing, and the mail has no From header: give one of them"
    assert problem(data=b"From:  \nSubject: Hi\n\nHello").startswith("sender: is missing")
    assert RawMessage(data=headless, to="b@example.com", sender="a@example.com").data == headless


def test_recipients_are_those_of_the_envelope_and_the_subject_is_for_the_eyes() -> None:
    data = mail(b"x", b"FROM: a@example.com\nsubject:\n =?utf-8?q?=C3=96l?=\n und Wein\nTo: z@example.com\n")
    message = RawMessage(data=data, to=["B <b@example.com>", "c@example.com"])
    assert message.recipients == ("b@example.com", "c@example.com")
    assert message.subject == "Öl und Wein"
    assert RawMessage(data=mail(b"x"), to="b@example.com").subject == ""
    odd = RawMessage(data=mail(b"", b"From: a@x.yy\nSubject: \xff =?nope?q?=C3?=\n"), to="b@example.com")
    for broken in (b"=?utf-8?b?a?=", b"=?utf-8?b?!!!?=", b"=?utf-8?q?=ff?="):
        head = b"From: a@x.yy\nSubject: " + broken + b"\n"
        assert len(RawMessage(data=mail(b"", head), to="b@example.com").subject) < 20
    many = b"From: a@x.yy\nSubject: " + b"=?a?q?\n " * 100_000 + b"\n"
    assert len(RawMessage(data=mail(b"", many), to="b@example.com").subject) <= 2000
    assert odd.subject == "\ufffd =?nope?q?=C3?="


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b"", "has no blank line after its header"),
        (b"Subject: Hi", "has no blank line after its header"),
        (b"\r\nHello", "begins with a blank line"),
        (b"From a@example.com Sat Jan  3 01:05:34 1996\nFrom: a@x.yy\n\nx", "begins with an mbox's line"),
        (b"From: a@x.yy\nHello there\n\nx", "header 2 is no name with a colon"),
        (b" folded\nFrom: a@x.yy\n\nx", "header 1 is no name with a colon"),
        (mail(b"a\0b"), "holds a NUL byte, which no mail may: write that part in base64"),
        ("From: a@x.yy\n\nx", "is a str: give bytes"),
        (7, "is not bytes"),
    ],
)
def test_what_is_no_mail_is_refused_with_the_remedy_and_without_its_words(data: Any, remedy: str) -> None:
    line = problem(data=data)
    assert line.startswith("data: ")
    assert remedy in line
    assert "Hello" not in line


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [0, 1, 400, 998, 30_000])
def test_a_line_of_998_bytes_passes_and_one_of_999_is_named(end: bytes, before: int) -> None:
    head = b"From: a@example.com" + end + end
    lead = (b"x" * 70 + end) * (before // 70) + b"y" * (before % 70) + end
    good = head + lead + b"z" * 998 + end + lead
    assert RawMessage(data=good, to="b@example.com").data == good
    number = good[: good.index(b"zz")].count(b"\n") + 1
    for bad in (good.replace(b"zz", b"zzz", 1), head + lead + b"z" * 999, head + lead + b"z" * 5000 + end):
        line = problem(data=bad)
        assert line.startswith(f"data: line {number} has more than 998 bytes")
        assert "quoted-printable or base64" in line
    last = head + lead + b"z" * 998
    assert RawMessage(data=last, to="b@example.com").data == last


def test_forty_megabytes_of_base64_are_the_most() -> None:
    line = b"z" * 998 + b"\r\n"
    largest = (mail(line * (MAX_MIME // 1000 + 1)))[:MAX_MIME]
    message = RawMessage(data=largest, to="b@example.com")
    assert len(b64encode(message.data)) == 40 * 2**20
    assert problem(data=largest + b"\n").startswith(f"data: has {MAX_MIME + 1} bytes, in base64 more than")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"to": []}, "to: no recipient: give 1 to 50"),
        ({"to": ["b@example.com"] * 51}, "to: 51 addresses are too many: give 50 at most, in all"),
        ({"to": "b@example.com\r\nBcc: c"}, "to[0]: 'b@example.com\\r\\nBcc: c' holds a line break"),
        ({"sender": "a@example.com\nX: y"}, "sender: 'a@example.com\\nX: y' holds a line break"),
        ({"subject": "Hi"}, "subject: is not a field: it stands in data already, as MIME"),
        ({"html": "Hi"}, "html: is not a field: it stands in data already"),
        ({"bcc": "c@example.com"}, "bcc: is not a field: give everybody who gets the mail in to"),
        ({"mime": b"x"}, "mime: is not a field: did you mean data?"),
        ({"recipients": "x"}, "recipients: is not a field: did you mean to?"),
        ({"key": "x"}, "key: is not a field: give it to Outbox.send"),
        ({"send_at": "x"}, "send_at: is not a field: did you mean at, a term of sending"),
        ({"surprise": "x"}, "surprise: is not a field: remove it, or give one of data, to, sender"),
    ],
)  # fmt: skip
def test_the_envelope_is_checked_like_that_of_a_message(fields: dict[str, Any], told: str) -> None:
    assert problem(**fields).startswith(told)


def test_a_message_that_is_given_mime_is_told_where_it_goes() -> None:
    with pytest.raises(ValidationError) as caught:
        Message(sender="a@example.com", to="b@example.com", subject="Hi", text="x", raw=MIME)  # type: ignore[call-arg]
    assert "raw: is not a field: MIME is sent as it is by a RawMessage" in explain(caught.value)[0]


def test_who_knows_messages_alone_refuses_it_by_name_as_an_older_worker_does() -> None:
    with pytest.raises(ValidationError) as caught:
        Message.from_payload(json.loads(RawMessage(**FIELDS).to_payload()))
    assert any(line.startswith("data: is not a field") for line in explain(caught.value))


def test_a_copy_is_judged_like_a_new_one() -> None:
    message = RawMessage(**FIELDS)
    assert message.model_copy(update={"to": "c@example.com"}).to == ("c@example.com",)
    assert message.model_copy() == message
    with pytest.raises(ValidationError):
        message.model_copy(update={"to": "nobody"})


def test_its_bytes_are_not_shown() -> None:
    assert "Hello" not in repr(RawMessage(**FIELDS))


def test_a_payload_that_nobody_checked_is_asked_for_its_header() -> None:
    payload = json.loads(RawMessage(**FIELDS).to_payload())
    assert stated(payload, "subject", "Subject") == "Hi"
    assert stated({**payload, "sender": "s@example.com"}, "sender", "From") == "s@example.com"
    long = {"data": b64encode(MIME + b"x" * 200_000).decode()}
    assert stated(long, "sender", "From") == "Ann <a@example.com>"
    for broken in ({}, {"data": 7}, {"data": "a"}, {"data": "é"}, {"data": b64encode(b"nothing").decode()}):
        assert stated(broken, "subject", "Subject") is None
