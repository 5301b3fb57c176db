"""Every member of SES's request: written from a field that is named for it, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from pydantic import ValidationError

from rq_ses import Attachment, Message, RawMessage, explain
from rq_ses.message.limits import HEADERS
from rq_ses.message.reading import AnyMessage, read_message
from rq_ses.message.render import send_email_request
from rq_ses.message.unsubscribing import LONGEST

SHAPES = Loader().load_service_model("sesv2", "service-2")["shapes"]
ARN = "arn:aws:ses:eu-west-1:123456789012:identity/example.com"
MIME = b"From: a@example.com\r\n\r\nx"
FIELDS: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}
TERMS: dict[str, Any] = {
    "tags": {"a": "b"},
    "configuration_set": "prod",
    "from_email_arn": ARN,
    "feedback_to": "bounces@example.com",
    "feedback_arn": "arn:aws-us-gov:ses:us-gov-west-1:123456789012:identity/bounces@example.com",
    "list_management": {"contact_list": "News letters", "topic": "weekly"},
    "tenant": "shop-1",
    "configuration_overrides": {"open_tracking": False, "click_tracking": True},
}
FILE = Attachment(
    filename="a.txt", content=b"x", content_id="a", description="A file", transfer_encoding="7bit"
)
MESSAGE = Message(
    **FIELDS, **TERMS, cc="c@example.com", bcc="d@example.com", reply_to="r@example.com", html="<p>ö",
    headers={"X-A": "1"}, attachments=[FILE],
)  # fmt: skip
RAW = RawMessage(data=MIME, to="b@example.com", sender="a@example.com", **TERMS)

REFUSED = {
    "SendEmailRequest.EndpointId": "endpoint_id",
    "EmailContent.Template": "template",
}
"""Members that nothing writes, by the field that somebody would try."""


def structures(shape: str) -> Iterator[tuple[str, str, str]]:
    """Yield each member of a structure and of those in it: where it stands, its name, its shape."""
    known = SHAPES[shape]
    if known["type"] == "list":
        yield from structures(known["member"]["shape"])
    for name, member in known.get("members", {}).items():
        yield shape, name, member["shape"]
        if f"{shape}.{name}" not in REFUSED:
            yield from structures(member["shape"])


def written(shape: str, value: Any) -> Iterator[str]:
    known = SHAPES[shape]
    if known["type"] == "list":
        for one in value:
            yield from written(known["member"]["shape"], one)
    elif known["type"] == "structure":
        for name, inner in value.items():
            yield f"{shape}.{name}"
            yield from written(known["members"][name]["shape"], inner)


def test_every_member_of_awss_model_is_written_or_refused() -> None:
    every = {f"{where}.{name}" for where, name, _ in structures("SendEmailRequest")}
    assert len(every) > 40
    found = {
        member
        for message in (MESSAGE, RAW)
        for member in written("SendEmailRequest", send_email_request(message))
    }
    assert every - found == set(REFUSED)


def enumerations() -> list[tuple[str, str]]:
    return [
        (f"{where}.{name}", value)
        for where, name, shape in structures("SendEmailRequest")
        for value in SHAPES[shape].get("enum", ())
    ]


def test_every_value_that_awss_model_knows_can_be_written() -> None:
    messages: list[AnyMessage] = [
        Message(
            **FIELDS,
            attachments=[{**FILE.model_dump(), "disposition": disposition, "transfer_encoding": encoding}],
            configuration_overrides={"open_tracking": on, "click_tracking": on},
        )
        for disposition, encoding, on in (
            ("attachment", "base64", True), ("inline", "quoted-printable", False), (None, "7bit", True)
        )
    ]  # fmt: skip
    text = json.dumps([send_email_request(message) for message in messages])
    assert len(enumerations()) >= 9
    for member, value in enumerations():
        assert f'"{member.partition(".")[2]}": "{value}"' in text, (member, value)


@pytest.mark.parametrize("field", [*REFUSED.values(), "EndpointId", "TemplateName", "template_data"])
@pytest.mark.parametrize("base", [FIELDS, {"data": MIME, "to": "b@example.com"}], ids=["simple", "raw"])
def test_what_is_not_built_is_refused_with_the_reason(base: dict[str, Any], field: str) -> None:
    payload = {**base, "data": "RnJvbTogYQ0KDQp4"} if "data" in base else base
    with pytest.raises(ValidationError) as caught:
        read_message({**payload, field: "abcdef12.g3h"})
    (line,) = explain(caught.value)
    assert line.startswith(f"{field}: is not a field: SES")
    assert ("SigV4A" if "ndpoint" in field else "give the text and the html") in line


def test_the_terms_are_written_by_both_kinds() -> None:
    for message in (MESSAGE, RAW):
        request = send_email_request(message)
        for name in ("Content", "Destination", "FromEmailAddress", "ReplyToAddresses"):
            request.pop(name, None)
        assert request == {
            "EmailTags": [{"Name": "a", "Value": "b"}],
            "ConfigurationSetName": "prod",
            "FromEmailAddressIdentityArn": ARN,
            "FeedbackForwardingEmailAddress": "bounces@example.com",
            "FeedbackForwardingEmailAddressIdentityArn": TERMS["feedback_arn"],
            "TenantName": "shop-1",
            "ListManagementOptions": {"ContactListName": "News letters", "TopicName": "weekly"},
            "ConfigurationOverrides": {
                "Tracking": {"OpenTrackingEnabled": "DISABLED", "ClickTrackingEnabled": "ENABLED"}
            },
        }


@pytest.mark.parametrize("message", [MESSAGE, RAW], ids=["simple", "raw"])
def test_a_payload_with_every_field_is_read_back_to_an_equal_message(message: AnyMessage) -> None:
    again = read_message(json.loads(message.to_payload()))
    assert again == message
    assert hash(again) == hash(message)
    assert again.to_payload() == message.to_payload()
    assert type(message).model_fields.keys() - {"unsubscribe"} == json.loads(message.to_payload()).keys()
    assert message.list_management is not None
    assert message.list_management.topic == "weekly"


def test_half_of_what_belongs_together_is_enough() -> None:
    message = Message(
        **FIELDS, list_management={"contact_list": "news"}, configuration_overrides={"open_tracking": True}
    )
    request = send_email_request(message)
    assert request["ListManagementOptions"] == {"ContactListName": "news"}
    assert request["ConfigurationOverrides"] == {"Tracking": {"OpenTrackingEnabled": "ENABLED"}}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"from_email_arn": "example.com"}, "from_email_arn: 'example.com' is not an identity's ARN: use"),
        ({"from_email_arn": ARN.replace("identity", "template")}, "from_email_arn: "),
        ({"feedback_to": "nobody"}, "feedback_to: 'nobody' is not an e-mail address"),
        ({"feedback_arn": ARN}, "feedback_arn: it is the identity of feedback_to, which is missing"),
        ({"tenant": "a b"}, "tenant: 'a b' is not a tenant's name"),
        ({"tenant": "t" * 65}, "tenant: "),
        ({"list_management": {}}, "list_management.contact_list: is missing: give it"),
        ({"list_management": {"contact_list": "ä"}}, "list_management.contact_list: 'ä' is not the name"),
        ({"list_management": {"ContactListName": "a", "contact_list": "a"}},
         "list_management.ContactListName: is not a field: did you mean contact_list?"),
        ({"list_management": "news"}, "list_management: 'news' is not a mapping"),
        ({"configuration_overrides": {}}, "configuration_overrides: says nothing: give open_tracking"),
        ({"configuration_overrides": {"open_tracking": 1}}, "configuration_overrides.open_tracking: 1"),
        ({"configuration_overrides": {"clicks": True, "open_tracking": True}},
         "configuration_overrides.clicks: is not a field: did you mean click_tracking?"),
        ({"tenant_name": "x"}, "tenant_name: is not a field: did you mean tenant?"),
        ({"contact_list": "x"}, "contact_list: is not a field: did you mean list_management?"),
        ({"return_path": "x"}, "return_path: is not a field: did you mean feedback_to?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [Message, RawMessage])
def test_a_term_that_cant_be_used_is_told_with_the_remedy(
    kind: type[AnyMessage], fields: dict[str, Any], told: str
) -> None:
    base = FIELDS if kind is Message else {"data": MIME, "to": "b@example.com"}
    with pytest.raises(ValidationError) as caught:
        kind(**base, **fields)
    (line,) = explain(caught.value)
    assert line.startswith(told)


# Unsubscribing


def unsubscribing(link: str, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Message(**FIELDS, unsubscribe=link, **fields)
    (line,) = explain(caught.value)
    return line


def test_a_link_becomes_both_headers_and_they_stand_last_in_their_order() -> None:
    message = Message(**FIELDS, headers={"X-Z": "1"}, unsubscribe="https://example.com/u/4711?a=b&c=%C3%A4")
    assert send_email_request(message)["Content"]["Simple"]["Headers"] == [
        {"Name": "X-Z", "Value": "1"},
        {"Name": "List-Unsubscribe", "Value": "<https://example.com/u/4711?a=b&c=%C3%A4>"},
        {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
    ]
    assert json.loads(message.to_payload())["headers"] == {"X-Z": "1"}


def test_the_longest_link_fits_into_a_header() -> None:
    link = "https://example.com/".ljust(LONGEST, "x")
    [header, _] = send_email_request(Message(**FIELDS, unsubscribe=link))["Content"]["Simple"]["Headers"]
    assert len(header["Name"]) + len(header["Value"]) == 996
    assert unsubscribing(f"{link}x").startswith(f"unsubscribe: has {LONGEST + 1} characters")


@pytest.mark.parametrize(
    "link",
    ["", "http://example.com/u", "mailto:u@example.com", "https://", "https:///u", "https://ex.com/a b",
     "https://ex.com/>,<https://x", "https://ex.com/ä", "https://ex.com/\r\nBcc: x", "<https://ex.com/u>"],
)  # fmt: skip
def test_what_is_no_link_is_refused_and_not_shown(link: str) -> None:
    line = unsubscribing(link)
    assert line.startswith("unsubscribe: is no https link of printable ASCII")
    assert "ex.com" not in line


def test_headers_of_ones_own_and_sess_lists_exclude_a_link() -> None:
    link = "https://example.com/u"
    for name in ("List-Unsubscribe", "LIST-UNSUBSCRIBE-POST"):
        assert unsubscribing(link, headers={name: "x"}) == (
            f"unsubscribe: it writes {name}, which headers has as well: give one of them"
        )
    assert "list_management has SES write" in unsubscribing(link, list_management={"contact_list": "news"})
    most = {f"X-{number}": "x" for number in range(HEADERS.most - 2)}
    assert (
        len(
            send_email_request(Message(**FIELDS, headers=most, unsubscribe=link))["Content"]["Simple"][
                "Headers"
            ]
        )
        == 15
    )
    assert unsubscribing(link, headers={**most, "X-M": "x"}) == (
        "headers: 14 and the 2 of unsubscribe are too many: give 15 at most"
    )


# Attachments


def test_how_a_file_stands_and_travels_can_be_said() -> None:
    def rendered(**fields: Any) -> dict[str, Any]:
        file = Attachment(filename="a.txt", content=b"x", **fields)
        request = send_email_request(Message(**FIELDS, attachments=[file]))
        (found,) = request["Content"]["Simple"]["Attachments"]
        return dict(found)

    assert rendered()["ContentDisposition"] == "ATTACHMENT"
    assert rendered(content_id="a")["ContentDisposition"] == "INLINE"
    assert rendered(content_id="a", disposition="attachment")["ContentDisposition"] == "ATTACHMENT"
    assert rendered(disposition="inline")["ContentDisposition"] == "INLINE"
    assert "ContentTransferEncoding" not in rendered()
    assert rendered(transfer_encoding="quoted-printable")["ContentTransferEncoding"] == "QUOTED_PRINTABLE"


@pytest.mark.parametrize("content", ["ä".encode(), b"a\0", b"x" * 999])
def test_seven_bits_are_for_what_has_no_more(content: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        Attachment(filename="a.txt", content=content, transfer_encoding="7bit")
    assert (
        "transfer_encoding 7bit takes ASCII without NUL in lines of at most 998" in explain(caught.value)[0]
    )
    assert Attachment(filename="a.txt", content=content, transfer_encoding="base64").content == content


def test_a_word_that_is_none_is_told_those_that_are() -> None:
    with pytest.raises(ValidationError) as caught:
        Attachment(filename="a.txt", content=b"", disposition="hidden")  # type: ignore[arg-type]
    assert explain(caught.value) == [
        "disposition: 'hidden' cannot be used: input should be 'attachment' or 'inline'"
    ]
