from __future__ import annotations

import copy
import json
import pickle
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rq_ses.message.message import MAX_BYTES, Attachment, Message, explain

FIELDS: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}
NO_CONTROLS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
LINES = st.text(NO_CONTROLS, max_size=40)
BODIES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=60)
ADDRESSES = st.sampled_from(
    ["a@example.com", "Ann <ann@Example.com>", "Jörg, <j@müller.example>", '"x \\" y" <x@y.zz>', "INFO@x.yy"]
)
LISTS = st.lists(ADDRESSES, max_size=4)
TAGS = st.text("abcXYZ019_-", min_size=1, max_size=8)
ATTACHMENTS = st.fixed_dictionaries(
    {
        "filename": st.sampled_from(["a.pdf", "ä.tar.gz", "x", "..", "a/b.png"]),
        "content": st.binary(max_size=30),
    },
    optional={
        "content_type": st.sampled_from(
            ["application/octet-stream", 'text/plain; charset="utf-8"', "image/png"]
        ),
        "description": st.text(NO_CONTROLS, min_size=1, max_size=9),
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "sender": ADDRESSES,
        "to": st.lists(ADDRESSES, min_size=1, max_size=4),
        "subject": LINES,
        "text": BODIES,
    },
    optional={
        "cc": LISTS,
        "bcc": LISTS,
        "reply_to": ADDRESSES | LISTS,
        "html": BODIES | st.none(),
        "headers": st.dictionaries(
            st.sampled_from(["X-One", "X-Two", "List-Unsubscribe"]),
            st.text(" abc<>:~", min_size=1, max_size=9),
        ),
        "tags": st.dictionaries(TAGS, TAGS, max_size=3),
        "configuration_set": TAGS | st.none(),
        "attachments": st.lists(ATTACHMENTS, max_size=3),
    },
)


def problems(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Message(**{**FIELDS, **fields})
    return explain(caught.value)


def problem(**fields: Any) -> str:
    (line,) = problems(**fields)
    return line


def attach(**fields: Any) -> dict[str, Any]:
    return {"filename": "a.txt", "content": b"x", **fields}


@given(MESSAGES)
def test_a_payload_is_read_back_to_an_equal_message(fields: dict[str, Any]) -> None:
    message = Message(**fields)
    payload = message.to_payload()
    for again in (
        Message.model_validate_json(payload),
        Message.from_payload(json.loads(payload)),
        Message.model_validate(message.model_dump()),
        copy.deepcopy(message),
        pickle.loads(pickle.dumps(message)),
    ):
        assert again == message
        assert hash(again) == hash(message)
        assert again.to_payload() == payload


def test_a_payload_is_compact_and_without_defaults() -> None:
    assert json.loads(Message(**FIELDS, cc=[], html=None, headers={}).to_payload()) == {
        **FIELDS,
        "to": ["b@example.com"],
    }
    assert b'", "' not in Message(**FIELDS).to_payload()


def test_equal_headers_and_tags_in_another_order_give_the_same_payload() -> None:
    one = Message(**FIELDS, headers={"X-A": "1", "X-B": "2"}, tags={"a": "1", "b": "2"})
    two = Message(**FIELDS, headers={"X-B": "2", "X-A": "1"}, tags={"b": "2", "a": "1"})
    assert one == two
    assert one.to_payload() == two.to_payload()


def test_a_single_address_stands_for_a_list_of_one() -> None:
    message = Message(
        **{**FIELDS, "cc": "c@example.com", "bcc": ("d@example.com",), "reply_to": "E <e@example.com>"}
    )
    assert message.to == ("b@example.com",)
    assert message.cc == ("c@example.com",)
    assert message.reply_to == ("E <e@example.com>",)


def test_recipients_are_bare_and_of_all_three_lists() -> None:
    message = Message(
        **{**FIELDS, "to": "B <b@Example.com>", "cc": ["c@example.com"], "bcc": ["d@bücher.example"]}
    )
    assert message.recipients == ("b@example.com", "c@example.com", "d@xn--bcher-kva.example")


def test_a_copy_with_other_recipients_has_other_recipients() -> None:
    message = Message(**FIELDS)
    assert message.recipients == ("b@example.com",)
    assert message.model_copy(update={"to": ("c@example.com",)}).recipients == ("c@example.com",)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("to", (), "no recipient"),
        ("to", "not an address", "is not"),
        ("subject", "Hi\r\nBcc: x@evil.example", "line"),
        ("subject", object(), "string"),
        ("body", "Hello", "did you mean text?"),
    ],
)
def test_a_copy_is_judged_as_a_new_message_is(field: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Message(**FIELDS).model_copy(update={field: value})
    (line,) = explain(caught.value)
    assert field in line
    assert words in line


def test_a_copy_keeps_what_is_not_changed() -> None:
    file = Attachment(filename="a.txt", content=b"Hello")
    message = Message(**FIELDS, headers={"X-A": "1"}, attachments=[file])
    assert message.model_copy(update={"to": "c@example.com"}).to == ("c@example.com",)
    assert message.model_copy(update={"to": FIELDS["to"]}) == message == message.model_copy()
    assert file.model_copy(update={"filename": "b.txt"}).content == b"Hello"
    with pytest.raises(ValidationError):
        file.model_copy(update={"content": "Hello"})


def test_a_message_cannot_be_changed() -> None:
    message = Message(**FIELDS, headers={"X-A": "1"})
    with pytest.raises(ValidationError):
        message.subject = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        message.headers["X-A"] = "2"  # type: ignore[index]


def test_bodies_and_attachments_stay_out_of_repr_and_errors() -> None:
    message = Message(**{**FIELDS, "text": "pw-1", "html": "pw-2", "attachments": [attach(content=b"pw-3")]})
    assert "pw-" not in repr(message)
    assert "pw-" not in str(message)
    bodies = {"text": "pw-1\0", "html": b"pw-2", "attachments": [attach(content="pw-3!")]}
    with pytest.raises(ValidationError) as caught:
        Message(**{**FIELDS, **bodies, "sender": "nobody"})
    assert "pw-" not in str(caught.value)
    assert len(explain(caught.value)) == 4
    assert "pw-" not in "".join(explain(caught.value))


def test_a_message_that_is_nothing_but_a_body_does_not_show_it() -> None:
    for wrong in ("pw-1", ["pw-1"], b"pw-1"):
        with pytest.raises(ValidationError) as caught:
            Message.model_validate(wrong)
        assert "pw-" not in "".join(explain(caught.value))
    with pytest.raises(ValidationError) as caught:
        Message.model_validate_json('{"text": "pw-1')
    assert "pw-" not in "".join(explain(caught.value))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"to": ["foo"]}, "to[0]: 'foo' is not an e-mail address: write local@domain or Name <local@domain>"),
        ({"sender": "foo\nBcc: x@y.zz"}, "sender: 'foo\\nBcc: x@y.zz' holds a line break"),
        ({"sender": 5}, "sender: 5 is not a string"),
        ({"to": {"a": 1}}, "to: a mapping is not a list of addresses"),
        ({"to": [["a@b.cc"]]}, "to[0]: a list is not a string"),
        ({"to": ()}, "to: no recipient in to, cc and bcc: give 1 to 50"),
        ({"to": ["b@example.com"] * 51}, "to: 51 addresses are too many"),
        ({"to": ["b@example.com"] * 50, "bcc": "c@example.com"}, "to: 51 recipients in to, cc and bcc"),
        ({"subject": None}, "subject: None is not a string"),
        ({"subject": "a\r\nBcc: x@y.zz"}, "subject: 'a\\r\\nBcc: x@y.zz' holds a line break"),
        ({"subject": "a\u2028b"}, "subject: "),
        ({"subject": "a\x85b"}, "subject: "),
        (
            {"subject": "\ud800"},
            "subject: '\\ud800' holds a line break, a control character or a lone surrogate",
        ),
        ({"text": "\ud800"}, "text: holds a lone surrogate"),
        ({"text": None}, "text: both text and html are empty: give at least one of them"),
        ({"text": "", "html": ""}, "text: both text and html are empty: give at least one of them"),
        ({"text": "a\0b"}, "text: holds a NUL character"),
        ({"html": "a\0b"}, "html: holds a NUL character"),
        ({"surprise": 1}, "surprise: is not a field"),
        ({"sur\nprise": 1}, "'sur\\nprise': is not a field"),
        ({"headers": [("X-A", "1")]}, "headers: a list is not a mapping"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers['X-A']: '1\\r\\nX-B: 2' is not a header's value"),
        ({"headers": {"X-A": "ä"}}, "headers['X-A']: 'ä' is not a header's value"),
        ({"headers": {"X-A": ""}}, "headers['X-A']: '' is not a header's value"),
        ({"headers": {"X-A": "x" * 996}}, "headers['X-A']: "),
        ({"headers": {"X-Abc": "x" * 992}}, "headers: 'X-Abc': name and value have 997 characters"),
        ({"headers": {"X A": "1"}}, "headers['X A']: 'X A' is not a header's name"),
        ({"headers": {"": "1"}}, "headers['']: '' is not a header's name"),
        ({"headers": {"X" * 127: "1"}}, "headers['"),
        ({"headers": {"X-a": "1", "X-A": "2"}}, "headers: 'X-a' and 'X-A' are the same header"),
        (
            {"headers": {f"X-{n}": "1" for n in range(16)}},
            "headers: 16 headers are too many: give 15 at most",
        ),
        ({"tags": {"a b": "1"}}, "tags['a b']: 'a b' cannot stand in a tag"),
        ({"tags": {"a": "x" * 257}}, "tags.a: "),
        ({"tags": {"a": 1}}, "tags.a: 1 is not a string"),
        (
            {"tags": {"Rq-Ses-Job": "1"}},
            "tags: 'Rq-Ses-Job' is the tag that holds the job's id: give another name to yours",
        ),
        ({"configuration_set": "a\nb"}, "configuration_set: 'a\\nb' is not the name of a configuration set"),
        ({"configuration_set": ""}, "configuration_set: '' is not the name"),
        ({"attachments": attach()}, "attachments: a mapping is not a list of attachments"),
        ({"attachments": [attach(filename="")]}, "attachments[0].filename: '' is not the name of a file"),
        (
            {"attachments": [attach(filename="a\r\nb")]},
            "attachments[0].filename: 'a\\r\\nb' holds a line break",
        ),
        ({"attachments": [attach(filename="x" * 256)]}, "attachments[0].filename: "),
        (
            {"attachments": [attach(content="Hello123")]},
            "attachments[0].content: is a str: give bytes, such as text.encode() or path.read_bytes()",
        ),
        ({"attachments": [attach(content=None)]}, "attachments[0].content: the NoneType value is not bytes"),
        ({"attachments": [{"filename": "a"}]}, "attachments[0].content: is missing: give it"),
        (
            {"attachments": [attach(content_type="text")]},
            "attachments[0].content_type: 'text' is not a MIME type",
        ),
        ({"attachments": [attach(content_type="a/b\n")]}, "attachments[0].content_type: "),
        ({"attachments": [attach(content_type="")]}, "attachments[0].content_type: "),
        ({"attachments": [attach(content_type="a/b;" + "c" * 78)]}, "attachments[0].content_type: "),
        ({"attachments": [attach(content_id="<a>")]}, "attachments[0].content_id: '<a>' is not a content id"),
        ({"attachments": [attach(content_id="x" * 79)]}, "attachments[0].content_id: "),
        ({"attachments": [attach(description="x" * 1001)]}, "attachments[0].description: "),
        (
            {"attachments": [attach(content_id="a"), attach(content_id="a")]},
            "attachments: content_id 'a' stands twice",
        ),
    ],
)
def test_what_is_wrong_is_named_by_field_value_and_remedy(fields: dict[str, Any], expected: str) -> None:
    line = problem(**fields)
    assert line.startswith(expected)
    assert len(line) <= 400
    assert line.isprintable()


@pytest.mark.parametrize("header", [
    "From", "TO", "cc", "Bcc", "Subject", "Reply-To", "Date", "Message-ID", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding", "Return-Path", "X-SES-CONFIGURATION-SET",
])  # fmt: skip
def test_a_header_that_ses_or_a_field_sets_is_refused_with_the_remedy(header: str) -> None:
    line = problem(headers={header: "x"})
    assert f"{header!r} is not a header to set: " in line
    assert line.endswith("SES writes it") or "use the field" in line


def test_limits_are_inclusive() -> None:
    Message(**{**FIELDS, "to": ["b@example.com"] * 25, "bcc": ["c@example.com"] * 25})
    Message(**FIELDS, headers={f"X-{n:02}": "1" for n in range(15)} | {"X-00": "x" * 992})
    Message(**FIELDS, headers={"X": "x" * 995})
    Message(**FIELDS, tags={"x" * 256: "y" * 256})
    Message(**FIELDS, attachments=[attach(filename="x" * 255, content_id="y" * 78, description="z" * 1000)])


def test_bcc_alone_is_enough() -> None:
    assert Message(sender="a@example.com", bcc=["b@example.com"], subject="", html="<p>").recipients


def test_all_problems_are_told_at_once() -> None:
    lines = problems(sender="x", to=["y", "z"], subject="\n", headers={"X A": "ä"}, more=1)
    assert [line.partition(":")[0] for line in lines] == [
        "sender", "to[0]", "to[1]", "subject", "headers['X A']", "headers['X A']", "more",
    ]  # fmt: skip
    assert len(problems(to=(), text="")) == 2


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        Message.model_validate({})
    assert [line.partition(":")[0] for line in explain(caught.value)] == ["sender", "subject"]


def test_thousands_of_problems_are_told_in_few_lines() -> None:
    lines = problems(**{f"field{n}": 1 for n in range(10_000)})
    assert len(lines) == 51
    assert lines[-1] == "and 9950 more problems"


def test_the_remedy_of_an_address_can_be_copied() -> None:
    assert "Name <local@domain>" in problem(to="Ann ann@example.com")
    assert problem(sender="Ann <x>").startswith("sender: 'Ann <x>' is not an e-mail address")
    assert 'put the name into quotes: "Name" <local@domain>' in problem(to="A <x> B <a@b.cc>")


def test_a_huge_field_name_or_value_gives_a_short_line() -> None:
    assert len(problem(**{"x" * 1_000_000: 1})) < 400
    assert len(problem(sender="x" * 1_000_000)) < 400
    assert len(problem(sender=10**5000)) < 400


def test_forty_megabytes_count_attachments_in_base64() -> None:
    fits = bytes(MAX_BYTES // 4 * 3 - 600)
    assert Message(**FIELDS, attachments=[attach(content=fits)]).attachments[0].content == fits
    line = problem(attachments=[attach(content=bytes(MAX_BYTES // 4 * 3))])
    assert line.startswith("attachments: the message has 419")
    assert str(MAX_BYTES) in line


def test_forty_megabytes_count_bodies_as_they_travel() -> None:
    assert Message(**{**FIELDS, "text": "x" * (MAX_BYTES - 200)})
    assert problem(text="x" * MAX_BYTES).startswith("text: the message has ")
    assert problem(html="é" * (MAX_BYTES // 2)).startswith("html: the message has ")
    assert problem(subject="x" * MAX_BYTES).startswith("subject: the message has ")
    assert problem(text="\n" * (MAX_BYTES // 2)).startswith("text: the message has ")


def test_an_attachment_is_bytes_in_python_and_base64_in_json() -> None:
    content = bytes(range(256))
    attachment = Attachment(filename="a", content=content)
    assert attachment.model_dump()["content"] == content
    text = json.loads(attachment.model_dump_json())["content"]
    assert text == b64encode(content).decode()
    assert "+" in text
    assert "/" in text
    assert Attachment.model_validate_json(attachment.model_dump_json()) == attachment
    assert Attachment(filename="a", content=bytearray(b"x")).content == b"x"


@pytest.mark.parametrize(
    "text", ["Hello123", "SGVsbG8=", "", "YWJj", "plain words", "ä", "name,total\n1,2\n"]
)
def test_a_str_is_never_the_content_of_an_attachment_whatever_it_looks_like(text: str) -> None:
    fields = {"filename": "note.txt", "content": text}
    message = {**FIELDS, "attachments": [fields]}
    for build in (
        lambda: Attachment(**fields),  # type: ignore[arg-type]
        lambda: Attachment.model_validate(fields),
        lambda: Message(**message),
        lambda: Message.model_validate(message),
        lambda: Message.model_validate(message, context={"any": "other"}),
    ):
        with pytest.raises(ValidationError) as caught:
            build()
        (line,) = explain(caught.value)
        assert line.endswith("content: is a str: give bytes, such as text.encode() or path.read_bytes() "
                             "(base64 is for JSON alone)")  # fmt: skip


@pytest.mark.parametrize("text", ["YQ", "YWJ\nj", "_-_-", "ä", "plain words"])
def test_what_is_not_base64_in_json_is_refused(text: str) -> None:
    fields = {**FIELDS, "attachments": [attach(content=text)]}
    for read in (
        lambda: Message.from_payload(fields),
        lambda: Message.model_validate_json(json.dumps(fields)),
    ):
        with pytest.raises(ValidationError) as caught:
            read()
        (line,) = explain(caught.value)
        assert line.startswith("attachments[0].content: is not base64 (")
        assert line.endswith("): give standard base64 on one line")


def test_a_given_type_is_not_guessed_again_from_the_queue() -> None:
    message = Message(
        **FIELDS, attachments=[attach(filename="a.pdf", content_type="application/octet-stream")]
    )
    assert Message.model_validate_json(message.to_payload()) == message
