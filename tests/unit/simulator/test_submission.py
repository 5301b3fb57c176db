"""What SES refuses in a SendEmail request, and its words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rq_ses.message.limits import MESSAGE_SIZE
from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.submission import bare_address, read

NULL = "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must not be null"


def _request(**members: Any) -> dict[str, Any]:
    simple = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Body"}}}
    return {
        "FromEmailAddress": "a@example.com",
        "Destination": {"ToAddresses": ["b@example.com"]},
        "Content": {"Simple": simple},
    } | members


def _simple(**members: Any) -> dict[str, Any]:
    request = _request()
    request["Content"]["Simple"] |= members
    return request


def _refusal(request: Any) -> tuple[int, str | None, str | None]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    with pytest.raises(Refused) as caught:
        read(body)
    return caught.value.answer.status, caught.value.answer.code, caught.value.answer.message


def test_sender_and_recipients_are_read_in_the_order_to_cc_bcc() -> None:
    submission = read(
        json.dumps(
            _request(
                FromEmailAddress="Anna <a@example.com>",
                Destination={
                    "BccAddresses": ["d@example.com"],
                    "CcAddresses": ["=?utf-8?q?C=C3=A4?= <c@example.com>"],
                    "ToAddresses": ['"B, b" <b@example.com>'],
                },
                Unknown={"member": 1},
            )
        ).encode()
    )
    assert submission.sender == "a@example.com"
    assert submission.recipients == ("b@example.com", "c@example.com", "d@example.com")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\xfa", b"<html>", b"[" * 100_000, b'{"a":NaN}', b'{"a":' * 500 + b"1" + b"}" * 500],
)
def test_a_body_that_is_not_json_cannot_be_deserialized(body: bytes) -> None:
    assert _refusal(body) == (400, "SerializationException", "")


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null"])
def test_a_body_that_is_not_an_object_is_a_bad_request(body: bytes) -> None:
    assert _refusal(body)[:2] == (400, "BadRequestException")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"FromEmailAddress": "a@example.com"}, NULL.format("content")),
        (_request(Content={}), "Content must hold exactly one of Simple, Raw and Template."),
        (
            _request(Content={"Simple": {}, "Raw": {}}),
            "Content must hold exactly one of Simple, Raw and Template.",
        ),
        (_request(Content={"Simple": {}}), NULL.format("content.simple.subject")),
        (_simple(Subject={}), NULL.format("content.simple.subject.data")),
        (_simple(Body=None), NULL.format("content.simple.body")),
        (_simple(Body={}), NULL.format("content.simple.body.text")),
        (_simple(Body={"Html": {}}), NULL.format("content.simple.body.html.data")),
        (_simple(Headers=[{"Name": "X-A"}]), NULL.format("content.simple.headers.1.member.value")),
        (
            _simple(Attachments=[{"RawContent": "YQ=="}]),
            NULL.format("content.simple.attachments.1.member.fileName"),
        ),
        (_request(Content={"Raw": {}}), NULL.format("content.raw.data")),
        (_request(FromEmailAddress=None), None),
        (_request(Destination={}), "At least one recipient must be specified."),
        (_request(Destination=None), "At least one recipient must be specified."),
        (
            _request(
                Destination={"ToAddresses": ["b@example.com"] * 26, "BccAddresses": ["c@example.com"] * 25}
            ),
            "Recipient count exceeds 50.",
        ),
        (_request(Destination={"ToAddresses": [""]}), "Invalid email address ."),
        (_request(Destination={"ToAddresses": ["nobody"]}), "Missing final '@domain'"),
    ],
)
def test_what_is_missing_is_told_in_the_words_of_ses(request_: Any, message: str | None) -> None:
    assert _refusal(request_) == (400, "BadRequestException", message)


@pytest.mark.parametrize(
    "request_",
    [
        _request(Content=[]),
        _request(Content={"Simple": "text"}),
        _simple(Subject={"Data": 5}),
        _simple(Headers={"X-A": "b"}),
        _simple(Headers=[{"Name": "X A", "Value": "b"}]),
        _simple(Headers=[{"Name": "X-A", "Value": "b\r\nBcc: c@example.com"}]),
        _simple(Headers=[{"Name": f"X-{n}", "Value": "b"} for n in range(16)]),
        _simple(Attachments=[{"FileName": "a.txt", "RawContent": "no base64!"}]),
        _simple(Attachments=[{"FileName": "a.txt", "RawContent": 5}]),
        _request(Destination=["b@example.com"]),
        _request(Destination={"ToAddresses": "b@example.com"}),
        _request(Destination={"ToAddresses": [5]}),
        _request(FromEmailAddress={"a": 1}),
        _request(EmailTags=[{"Name": "a b", "Value": "c"}]),
        _request(ReplyToAddresses=["nobody"]),
        _request(EndpointId="abcdef12.g3h"),
        _request(FromEmailAddressIdentityArn="example.com"),
        _request(FeedbackForwardingEmailAddressIdentityArn=""),
        _request(FeedbackForwardingEmailAddress="nobody"),
        _request(FeedbackForwardingEmailAddress=5),
        _request(TenantName=""),
        _request(ConfigurationSetName=5),
        _request(ListManagementOptions={"TopicName": "weekly"}),
        _request(ListManagementOptions="news"),
        _request(ConfigurationOverrides={"Tracking": {"OpenTrackingEnabled": "YES"}}),
        _request(ConfigurationOverrides={"Tracking": {"ClickTrackingEnabled": True}}),
        _request(ConfigurationOverrides={"Tracking": "ENABLED"}),
        *(
            _simple(Attachments=[{"FileName": "a.txt", "RawContent": "YQ==", name: value}])
            for name, value in (
                ("ContentDisposition", "inline"),
                ("ContentTransferEncoding", "7bit"),
                ("ContentId", ""),
                ("ContentType", "x" * 79),
                ("FileName", "x" * 256),
                ("ContentDescription", "x" * 1001),
            )
        ),
    ],
)
def test_members_of_the_wrong_kind_are_a_bad_request(request_: Any) -> None:
    assert _refusal(request_)[:2] == (400, "BadRequestException")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("@example.com", "Missing local name"),
        ("a@", "Missing final '@domain'"),
        ("a b@example.com", "Local address contains control or whitespace"),
        ("a@exa mple.com", "Domain contains illegal character"),
        ("a@example..com", "Domain contains illegal character"),
        ("a@example.com, b@example.com", "Local address contains control or whitespace"),
        ("a@example.com\r\nBcc: b@example.com", "Address contains control or whitespace"),
        ("ä@example.com", "Address contains non-ASCII characters"),
        ("a@exämple.com", "Address contains non-ASCII characters"),
        ("\ud800@example.com", "Address contains non-ASCII characters"),
        ("Anna <>", "Missing final '@domain'"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(address: str, message: str) -> None:
    assert _refusal(_request(Destination={"ToAddresses": [address]})) == (400, "BadRequestException", message)


def test_quoted_local_parts_and_names_are_addresses() -> None:
    assert bare_address('"a b"@example.com') == '"a b"@example.com'
    assert bare_address('"abc..def"@docomo.example') == '"abc..def"@docomo.example'
    assert bare_address('Anna <"a <b\\" c"@example.com>') == '"a <b\\" c"@example.com'
    assert bare_address(" Anna Bell <anna@example.com> ") == "anna@example.com"
    assert bare_address("a.b+c@xn--exmple-cua.com") == "a.b+c@xn--exmple-cua.com"


def test_a_raw_message_may_name_its_addresses_itself() -> None:
    mime = (
        b"From: A <a@example.com>\r\nTo: b@example.com, C <c@example.com>\r\nBcc: d@example.com\r\n\r\nBody"
    )
    submission = read(json.dumps({"Content": {"Raw": {"Data": base64.b64encode(mime).decode()}}}).encode())
    assert submission.sender == "a@example.com"
    assert submission.recipients == ("b@example.com", "c@example.com", "d@example.com")


def test_no_recipient_of_a_raw_message_is_lost_for_the_comment_of_another() -> None:
    mime = (
        b"From: a@example.com\r\nTo: b@example.com, c@example.com (Sales, Berlin)\r\n"
        b"Cc: Dora <d@example.com>\r\n\r\nBody"
    )
    submission = read(json.dumps({"Content": {"Raw": {"Data": base64.b64encode(mime).decode()}}}).encode())
    assert submission.recipients == ("b@example.com", "c@example.com", "d@example.com")


def test_what_stands_beside_the_content_is_taken_where_it_is_right() -> None:
    arn = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
    whole = _request(
        FromEmailAddressIdentityArn=arn,
        FeedbackForwardingEmailAddress="Bounces <b@example.com>",
        FeedbackForwardingEmailAddressIdentityArn=arn,
        ListManagementOptions={"ContactListName": "news", "TopicName": "weekly"},
        TenantName="shop",
        ConfigurationOverrides={
            "Tracking": {"OpenTrackingEnabled": "ENABLED", "ClickTrackingEnabled": "DISABLED"}
        },
    )
    whole["Content"]["Simple"]["Attachments"] = [
        {
            "FileName": "a.txt",
            "RawContent": "YQ==",
            "ContentDisposition": "INLINE",
            "ContentId": "a",
            "ContentTransferEncoding": "SEVEN_BIT",
            "ContentType": "text/plain",
            "ContentDescription": "",
        }
    ]
    assert read(json.dumps(whole).encode()).sender == "a@example.com"
    assert _refusal(_request(ConfigurationOverrides={"Tracking": {"OpenTrackingEnabled": "on"}}))[2] == (
        "1 validation error detected: Value at 'configurationOverrides.tracking.openTrackingEnabled' failed "
        "to satisfy constraint: Member must satisfy enum value set: [ENABLED, DISABLED]"
    )


def test_a_template_does_not_exist_unless_its_content_comes_with_it() -> None:
    refusal = _refusal(_request(Content={"Template": {"TemplateName": "welcome"}}))
    assert refusal == (404, "NotFoundException", "Template welcome does not exist")
    inline = {"TemplateContent": {"Subject": "a", "Text": "b"}, "TemplateData": "{}"}
    assert read(json.dumps(_request(Content={"Template": inline})).encode()).sender == "a@example.com"


def test_a_message_over_forty_megabytes_is_refused_with_its_length() -> None:
    largest = _simple(Body={"Text": {"Data": "x" * (MESSAGE_SIZE.most - len("Hello"))}})
    assert read(json.dumps(largest).encode()).sender == "a@example.com"
    largest["Content"]["Simple"]["Body"]["Text"]["Data"] += "x"
    assert _refusal(largest) == (
        400,
        "BadRequestException",
        "Message length is more than 41943040 bytes long: '41943041'.",
    )
