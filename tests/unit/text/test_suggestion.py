"""An unknown field is refused with the one that was meant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from rq_ses import Attachment, Message, RawMessage, Submission, explain
from rq_ses.text import suggestion

FIELDS: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}


def problem(model: type[BaseModel], given: Mapping[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model(**given)
    (line,) = explain(caught.value)
    return line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("from", "sender"), ("from_", "sender"), ("from_email", "sender"), ("FromEmailAddress", "sender"),
        ("Source", "sender"), ("sendr", "sender"), ("body", "text"), ("message", "text"), ("plain", "text"),
        ("TextBody", "text"), ("html_body", "html"), ("htmlBody", "html"), ("html_message", "html"),
        ("recipients", "to"), ("recipient", "to"), ("ToAddresses", "to"), ("to_emails", "to"), ("To", "to"),
        ("BCC", "bcc"), ("bcc_addresses", "bcc"), ("CcAddresses", "cc"), ("Reply-To", "reply_to"),
        ("replyTo", "reply_to"), ("title", "subject"), ("subjekt", "subject"), ("files", "attachments"),
        ("attachement", "attachments"), ("attachment", "attachments"), ("extra_headers", "headers"),
        ("EmailTags", "tags"), ("tag", "tags"), ("ConfigurationSetName", "configuration_set"),
        ("htlm", "html"), ("tetx", "text"), ("htm", "html"), ("hmtl", "html"),
    ],
)  # fmt: skip
def test_an_unknown_field_that_is_called_so_elsewhere_is_told_its_name(name: str, meant: str) -> None:
    line = f"{name if name.isidentifier() else repr(name)}: is not a field: did you mean {meant}?"
    assert problem(Message, {**FIELDS, name: "x"}) == line
    for read in (Message.from_payload, lambda fields: Message.model_validate_json(json.dumps(fields))):
        with pytest.raises(ValidationError) as caught:
            read({**FIELDS, name: "x"})
        assert explain(caught.value) == [line]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("name", "filename"), ("file_name", "filename"), ("FileName", "filename"), ("data", "content"),
        ("RawContent", "content"), ("mimetype", "content_type"), ("mime_type", "content_type"),
        ("type", "content_type"), ("cid", "content_id"), ("Content-ID", "content_id"),
        ("desciption", "description"),
    ],
)  # fmt: skip
def test_so_is_one_of_an_attachment(name: str, meant: str) -> None:
    remedy = f": is not a field: did you mean {meant}?"
    attachment = {"filename": "a.txt", "content": b"x", name: "x"}
    assert problem(Attachment, attachment).endswith(remedy)
    line = problem(Message, {**FIELDS, "attachments": [attachment]})
    assert line.startswith("attachments[0]")
    assert line.endswith(remedy)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("key", "give it to Outbox.send or to a Submission, beside the message"),
        ("delay", "give it to Outbox.send or to a Submission, beside the message"),
        ("idempotency_key", "did you mean key, a term of sending (Outbox.send, Submission, a line of JSON)?"),
        ("send_at", "did you mean at, a term of sending (Outbox.send, Submission, a line of JSON)?"),
        ("countdown", "did you mean delay, a term of sending (Outbox.send, Submission, a line of JSON)?"),
        ("priorty", "did you mean priority, a term of sending (Outbox.send, Submission, a line of JSON)?"),
        ("X-Campaign", "did you mean a header, headers={'X-Campaign': …}?"),
        ("surprise", f"remove it, or give one of {', '.join(Message.model_fields)}"),
    ],
)
def test_what_is_no_field_at_all_is_told_where_it_goes(name: str, remedy: str) -> None:
    assert problem(Message, {**FIELDS, name: "x"}).endswith(f": is not a field: {remedy}")


def test_suggestions_name_fields_and_terms_that_exist_and_none_that_is_one() -> None:
    assert list(suggestion._MESSAGE) == list(Message.model_fields)
    assert list(suggestion._RAW) == list(RawMessage.model_fields)
    assert list(suggestion._ATTACHMENT) == list(Attachment.model_fields)
    assert [*suggestion._TERMS] == [name.name for name in fields(Submission) if name.name != "message"]
    for known in (suggestion._MESSAGE, suggestion._RAW, suggestion._ATTACHMENT, suggestion._TERMS):
        others = [other for listed in known.values() for other in listed.split()]
        assert sorted({*others} & {*known}) == []
        assert len(others) == len({*others})
