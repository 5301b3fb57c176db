"""The limits: that docs/messages.md, the docstrings and AWS's own model say the same numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.loaders import Loader

from rq_ses import Attachment, Message
from rq_ses.message import limits
from rq_ses.message.limits import Limit
from rq_ses.outbox.submission import KEY_LIMIT
from support.pages.documents import DOCS

NUMBERS = {
    "to": [1, limits.RECIPIENTS.most],
    "reply_to": [limits.RECIPIENTS.most],
    "headers": [
        limits.HEADERS.most,
        limits.HEADER_NAME.most,
        limits.HEADER_VALUE.most,
        limits.HEADER_LINE.most,
    ],
    "tags": [limits.TAG.most],
    "configuration_set": [limits.CONFIGURATION_SET.most],
    "tenant": [limits.TENANT.most],
    "list_management": [limits.CONTACT_LIST.most],
    "unsubscribe": [],
    "attachments": [limits.MESSAGE_SIZE.most // 2**20],
    "filename": [limits.FILENAME.most],
    "content_type": [limits.CONTENT_TYPE.most],
    "content_id": [limits.CONTENT_ID.most],
    "description": [limits.CONTENT_DESCRIPTION.most],
    "transfer_encoding": [7],
}
"""By the field that a line of the page begins with: its numbers, in the order in which they stand there."""

NEITHER = {
    *("sender", "subject", "text", "content", "from_email_arn", "feedback_to", "configuration_overrides"),
    *("disposition",),
}
"""Fields without a number."""

SHAPES = [
    (limits.HEADERS, "MessageHeaderList"),
    (limits.HEADER_NAME, "MessageHeaderName"),
    (limits.HEADER_VALUE, "MessageHeaderValue"),
    (limits.FILENAME, "AttachmentFileName"),
    (limits.CONTENT_TYPE, "AttachmentContentType"),
    (limits.CONTENT_ID, "AttachmentContentId"),
    (limits.CONTENT_DESCRIPTION, "AttachmentContentDescription"),
]


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*", text)]


def page_rows() -> dict[str, str]:
    """The last cell of each line of the page's tables of fields, by the first field it names."""
    page = (DOCS / "messages.md").read_text("utf-8").partition("## Every field")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`.*\| ([^|]*) \|$", page, re.MULTILINE)
    return dict(rows)


def test_the_page_tells_every_limit_with_its_number() -> None:
    rows = page_rows()
    assert rows.keys() == NUMBERS.keys() | NEITHER
    assert {name: numbers(rows[name]) for name in NUMBERS} == NUMBERS
    assert not [name for name in NEITHER if numbers(rows[name])]


def test_the_page_tells_the_limits_of_addresses_and_keys() -> None:
    page = (DOCS / "messages.md").read_text("utf-8")
    assert f"more than {limits.LOCAL_PART.most} characters there" in page
    assert f"text of 1 to {KEY_LIMIT} characters" in page


@pytest.mark.parametrize("model", [Message, Attachment])
def test_docstrings_tell_the_same_numbers(model: type[Any]) -> None:
    doc = model.__doc__ or ""
    told = {line.split()[0]: numbers(line.partition("): ")[2]) for line in doc.splitlines() if "): " in line}
    for name, found in told.items():
        known = {*NUMBERS.get(name, []), 1}
        assert set(found) <= known, f"{name}: {found}"


@pytest.mark.parametrize(("limit", "shape"), SHAPES, ids=lambda value: getattr(value, "name", value))
def test_a_limit_is_that_of_awss_model(limit: Limit, shape: str) -> None:
    assert limit.most == Loader().load_service_model("sesv2", "service-2")["shapes"][shape]["max"]


def test_what_awss_model_tells_in_words_is_the_same() -> None:
    shapes = Loader().load_service_model("sesv2", "service-2")["shapes"]
    value = shapes["MessageHeader"]["members"]["Value"]["documentation"]
    assert f"combined length of the header name and value must not exceed {limits.HEADER_LINE.most}" in value
    for shape in ("MessageTagName", "MessageTagValue"):
        assert f"no more than {limits.TAG.most} characters" in shapes[shape]["documentation"]


def test_every_limit_names_what_it_bounds_and_who_says_so() -> None:
    known = [value for value in vars(limits).values() if isinstance(value, Limit)]
    assert len(known) >= 15
    assert len({limit.name for limit in known}) == len(known)
    for limit in known:
        assert limit.most > 0
        assert limit.unit in ("addresses", "headers", "characters", "octets", "bytes")
        assert re.match(r"https://docs\.aws\.amazon\.com/|RFC |ours", limit.source), limit
