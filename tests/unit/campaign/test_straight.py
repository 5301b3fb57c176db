"""Requests of mails that we render, written straight: to the byte those of the model, or left to it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rq_ses.campaign import Campaign, Template
from rq_ses.campaign.bulkjob import QueuedEntry
from rq_ses.campaign.jinja import RenderingFailure
from rq_ses.campaign.localmail import LocalMails
from rq_ses.message.render import send_email_body
from rq_ses_worker.campaign.straight import StraightRequests

LONG = 'A long text, "quoted" \\ and <b>bold</b>.\n' * 10
TEXTS = ["", "Ann", "Ann & Co", '"\\', "<b>", "Änne", "🙂", "a\u2028b", "\x7f\x1f", "l" * 5000, "{{ name }}"]
TERMS: dict[str, Any] = {
    "reply_to": ["r@shop.example"],
    "configuration_set": "news",
    "tenant": "t",
    "from_email_arn": "arn:aws:ses:eu-west-1:123456789012:identity/shop.example",
    "attachments": [{"filename": "a.txt", "content": b"x"}],
    "configuration_overrides": {"open_tracking": False},
    "headers": {"X-Kind": "sale"},
    "tags": {"kind": "sale"},
    "unsubscribe": "https://shop.example/u",
}


def mails(subject: str = "For us", **terms: Any) -> LocalMails:
    parts = {part: terms.pop(part) for part in ("text", "html", "escape") if part in terms}
    template = Template(subject=subject, engine="jinja2", **parts)
    sender = terms.pop("sender", "Shöp <s@shop.example>")
    return LocalMails(Campaign(name="sale", sender=sender, template=template, **terms))


def entry(data: dict[str, Any], to: str = "ann@example.com", **own: Any) -> QueuedEntry:
    return QueuedEntry(to, data, own.get("headers", {}), own.get("tags", {}), "0" * 32)


@pytest.mark.parametrize("terms", [{}, TERMS])
@pytest.mark.parametrize("escape", [True, False])
@pytest.mark.parametrize("parts", [("text",), ("html",), ("text", "html")])
def test_what_is_written_straight_is_what_the_model_writes(
    terms: dict[str, Any], escape: bool, parts: tuple[str, ...]
) -> None:
    source = f"{LONG}{{{{ name }}}}{LONG}Ü{LONG}{{% for one in several %}}{LONG}{{{{ one }}}}{{% endfor %}}"
    made = mails("For {{ name|trim }}", escape=escape, **dict.fromkeys(parts, source), **terms)
    straight, chance = StraightRequests(made), random.Random(1)
    written = 0
    for name in TEXTS:
        one = entry({"name": name, "several": chance.choices(TEXTS, k=chance.randint(0, 3))})
        body = straight.body(one)
        if body is None:
            with pytest.raises(RenderingFailure):
                made.mail(one)
        else:
            written += 1
            assert body == send_email_body(made.mail(one), one.id)
    assert written == len(TEXTS) - 2  # two can't stand in a subject


@pytest.mark.parametrize(
    ("terms", "one"),
    [
        ({}, entry({"name": "a\0b"})),
        ({}, entry({"name": "\ud800"})),
        ({}, entry({"name": ""})),
        ({}, entry({"name": "A"}, to="Ann <ann@example.com>")),
        ({}, entry({"name": "A"}, headers={"X-A": "b"})),
        ({}, entry({"name": "A"}, tags={"a": "b"})),
        ({"unsubscribe": "https://s.example/{{name}}"}, entry({"name": "A"})),
        ({"attachments": [{"filename": "a", "content": b"x" * 16_000_000}]}, entry({"name": "A"})),
        ({}, entry({"name": "l" * 3_000_000})),
    ],
)
def test_what_is_unusual_is_left_to_the_model(terms: dict[str, Any], one: QueuedEntry) -> None:
    assert StraightRequests(mails(html="{{ name }}", **terms)).body(one) is None


def test_what_cannot_be_rendered_is_told() -> None:
    with pytest.raises(RenderingFailure, match="html: 'name' is undefined"):
        StraightRequests(mails(html="{{ name }}")).body(entry({}))


def test_an_empty_subject_is_one() -> None:
    made, one = mails("{{ name }}", text="x"), entry({"name": ""})
    assert StraightRequests(made).body(one) == send_email_body(made.mail(one), one.id)
