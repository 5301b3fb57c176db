from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from rq_ses.message.message import Message
from rq_ses.message.render import send_email_body, send_email_request

MODEL = ServiceModel(Loader().load_service_model("sesv2", "service-2"), "sesv2")
OPERATION = MODEL.operation_model("SendEmail")
FIELDS: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}

LINES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)
BODIES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=60)
ADDRESSES = st.sampled_from(["a@example.com", "Ann, <ann@Example.com>", "Jörg <j@müller.example>"])
TAGS = st.text("abcXYZ019_-", min_size=1, max_size=8)
ATTACHMENTS = st.fixed_dictionaries(
    {"filename": st.sampled_from(["a.pdf", "ä.bin"]), "content": st.binary(max_size=30)},
    optional={"content_type": st.just("image/png"), "description": st.just("Ein Bild, schön")},
)
MESSAGES = st.fixed_dictionaries(
    {
        "sender": ADDRESSES,
        "to": st.lists(ADDRESSES, min_size=1, max_size=3),
        "subject": LINES,
        "text": BODIES,
    },
    optional={
        "cc": st.lists(ADDRESSES, max_size=2),
        "bcc": st.lists(ADDRESSES, max_size=2),
        "reply_to": st.lists(ADDRESSES, max_size=2),
        "html": st.none() | st.just("") | BODIES,
        "headers": st.dictionaries(
            st.sampled_from(["X-One", "List-Unsubscribe"]), st.text(" ab<>", min_size=1)
        ),
        "tags": st.dictionaries(TAGS, TAGS, max_size=3),
        "configuration_set": st.none() | TAGS,
        "attachments": st.lists(ATTACHMENTS, max_size=2),
    },
)


def for_botocore(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as a caller of the AWS SDK gives it: attachments as bytes."""
    params: dict[str, Any] = json.loads(json.dumps(request))
    for attachment in params["Content"]["Simple"].get("Attachments", ()):
        attachment["RawContent"] = b64decode(attachment["RawContent"], validate=True)
    return params


def check_by_aws_model(request: dict[str, Any]) -> None:
    """Fail unless AWS's own model takes the request, and its serializer writes the same JSON."""
    params = for_botocore(request)
    report = ParamValidator().validate(params, OPERATION.input_shape)
    assert not report.has_errors(), report.generate_report()
    serialized = create_serializer("rest-json", include_validation=True).serialize_to_request(
        params, OPERATION
    )
    assert (serialized["method"], serialized["url_path"]) == ("POST", "/v2/email/outbound-emails")
    assert json.loads(serialized["body"]) == request


def has_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return not value or any(
            has_empty(inner) for name, inner in value.items() if name not in ("Data", "RawContent")
        )
    if isinstance(value, list):
        return not value or any(map(has_empty, value))
    return value is None or value == ""


@given(MESSAGES)
def test_every_request_is_exact_to_awss_model(fields: dict[str, Any]) -> None:
    request = send_email_request(Message(**fields))
    check_by_aws_model(request)
    assert not has_empty(request)


@given(MESSAGES)
def test_the_body_is_the_request_as_compact_json(fields: dict[str, Any]) -> None:
    message = Message(**fields)
    body = send_email_body(message)
    request = send_email_request(message)
    assert json.loads(body) == request
    assert body == json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_smallest_message_is_rendered_to_nothing_more() -> None:
    assert send_email_request(Message(**FIELDS)) == {
        "FromEmailAddress": "a@example.com",
        "Destination": {"ToAddresses": ["b@example.com"]},
        "Content": {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "Hello"}}}},
    }


def test_everything_a_message_has_is_rendered() -> None:
    message = Message(
        sender="Shop, Inc. <shop@example.com>",
        to=["Jörg <j@müller.example>"],
        cc=["c@example.com"],
        bcc=["d@example.com"],
        reply_to=["help@example.com"],
        subject="Größe",
        text="ä",
        html="<p>plain</p>",
        headers={"List-Unsubscribe": "<https://example.com/u>"},
        tags={"campaign": "may"},
        configuration_set="main",
        attachments=[
            {"filename": "a.pdf", "content": b"\xff\xfe\xfb", "description": "Rechnung"},
            {"filename": "logo.png", "content": b"PNG", "content_id": "logo"},
        ],
    )
    request = send_email_request(message)
    check_by_aws_model(request)
    assert request == {
        "FromEmailAddress": '"Shop, Inc." <shop@example.com>',
        "Destination": {
            "ToAddresses": ["=?UTF-8?B?SsO2cmc=?= <j@xn--mller-kva.example>"],
            "CcAddresses": ["c@example.com"],
            "BccAddresses": ["d@example.com"],
        },
        "ReplyToAddresses": ["help@example.com"],
        "Content": {
            "Simple": {
                "Subject": {"Data": "Größe", "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": "ä", "Charset": "UTF-8"},
                    "Html": {"Data": "<p>plain</p>"},
                },
                "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://example.com/u>"}],
                "Attachments": [
                    {
                        "RawContent": "//77",
                        "FileName": "a.pdf",
                        "ContentType": "application/pdf",
                        "ContentDisposition": "ATTACHMENT",
                        "ContentDescription": "Rechnung",
                    },
                    {
                        "RawContent": "UE5H",
                        "FileName": "logo.png",
                        "ContentType": "image/png",
                        "ContentDisposition": "INLINE",
                        "ContentId": "logo",
                    },
                ],
            }
        },
        "EmailTags": [{"Name": "campaign", "Value": "may"}],
        "ConfigurationSetName": "main",
    }


@pytest.mark.parametrize("tags", [{}, {"campaign": "may", "z": "1"}])
def test_the_jobs_id_is_the_last_tag_of_a_mail(tags: dict[str, str]) -> None:
    message = Message(**FIELDS, tags=tags)
    request = send_email_request(message, "5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5")
    check_by_aws_model(request)
    assert request.pop("EmailTags") == [
        *({"Name": name, "Value": value} for name, value in tags.items()),
        {"Name": "rq-ses-job", "Value": "5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5"},
    ]
    assert request == send_email_request(Message(**FIELDS))


@pytest.mark.parametrize("job_id", ["", "x" * 257])
def test_without_an_id_that_can_stand_in_a_tag_there_is_none(job_id: str) -> None:
    message = Message(**FIELDS)
    assert send_email_request(message, job_id) == send_email_request(message)


@pytest.mark.parametrize("recipients", ["cc", "bcc"])
def test_a_message_without_to_names_only_what_it_has(recipients: str) -> None:
    message = Message(sender="a@example.com", subject="x", text="x", **{recipients: "b@example.com"})
    name = {"cc": "CcAddresses", "bcc": "BccAddresses"}[recipients]
    assert send_email_request(message)["Destination"] == {name: ["b@example.com"]}


def test_quoted_local_parts_stand_in_every_place_of_a_request() -> None:
    odd = '"abc..def"@Docomo.example'
    kept = '"abc..def"@docomo.example'
    message = Message(
        sender=f"Jörg <{odd}>",
        to=[odd, f"Lee, Ann <{odd}>"],
        cc='"a b"@x.example',
        bcc=odd,
        reply_to=f"Ann <{odd}>",
        subject="x",
        text="x",
    )
    request = send_email_request(Message.from_payload(json.loads(message.to_payload())))
    assert request["FromEmailAddress"] == f"=?UTF-8?B?SsO2cmc=?= <{kept}>"
    assert request["Destination"] == {
        "ToAddresses": [kept, f'"Lee, Ann" <{kept}>'],
        "CcAddresses": ['"a b"@x.example'],
        "BccAddresses": [kept],
    }
    assert request["ReplyToAddresses"] == [f"Ann <{kept}>"]
    assert message.recipients == (kept, kept, '"a b"@x.example', kept)


def test_the_same_message_always_gives_the_same_bytes() -> None:
    one = Message(**FIELDS, tags={"b": "1", "a": "2"})
    again = Message.model_validate_json(one.to_payload())
    assert send_email_body(one) == send_email_body(again) == send_email_body(one)
