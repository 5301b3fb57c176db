"""Whether an entry's data fill its campaign's template and link."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign.checking import Checker

TEMPLATES = [
    {"subject": "Hi", "text": "there"},
    {"name": "stored"},
    {"subject": "Hi", "text": "there", "engine": "jinja2"},
]


def checker(template: dict[str, Any], **terms: Any) -> Checker:
    return Checker(Campaign(name="spring", sender="a@shop.example", template=Template(**template), **terms))


@pytest.mark.parametrize("value", [None, ["a"], {"a": "b"}], ids=str)
@pytest.mark.parametrize("template", TEMPLATES, ids=["ses", "stored", "jinja2"])
def test_a_link_is_filled_with_texts_and_numbers_alone(template: dict[str, Any], value: Any) -> None:
    found = checker(template, unsubscribe="https://shop.example/u/{{token}}")
    assert "'token' is" in found.problem(Entry("r@reader.example", {"token": value}))
    assert found.problem(Entry("r@reader.example", {"token": 7})) == ""


def test_data_that_no_placeholder_asks_for_may_be_anything_and_are_told() -> None:
    found = checker({"subject": "Hi {{name}}", "text": "there"})
    assert found.problem(Entry("r@reader.example", {"name": "Ann", "orders": [1, {"n": None}]})) == ""
    assert found.unused == ("orders",)
    assert "'name' is a list" in found.problem(Entry("r@reader.example", {"name": ["Ann"]}))


def test_a_value_in_the_subject_is_one_line() -> None:
    found = checker({"subject": "Hi {{name}}", "text": "there"})
    assert "in the subject" in found.problem(Entry("r@reader.example", {"name": "Ann\r\nBcc: x@y.example"}))
