"""The mails of a campaign that we render: its terms, an entry's own, and the template with its data."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses import Message
from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign.jinja import RenderingFailure, TemplateBroken
from rq_ses.campaign.localmail import LocalMails


def campaign(subject: str = "For {{ name }}", html: str = "<p>{{ name }}</p>", **terms: Any) -> Campaign:
    template = Template(subject=subject, html=html, engine="jinja2", escape=terms.pop("escape", None))
    return Campaign(**{"name": "sale", "sender": "S <s@shop.example>", "template": template, **terms})


ANN = Entry("Ann <ann@example.com>", {"name": "Ann & Co", "token": "a/b"})


def test_a_mail_has_the_campaigns_terms_and_the_entrys_own() -> None:
    terms: dict[str, Any] = {
        "reply_to": ["r@shop.example"],
        "configuration_set": "news",
        "tenant": "t",
        "from_email_arn": "arn:aws:ses:eu-west-1:123456789012:identity/shop.example",
        "attachments": [{"filename": "a.txt", "content": b"x"}],
        "configuration_overrides": {"open_tracking": False},
    }
    sale = campaign(
        headers={"X-Kind": "sale", "X-Shop": "1"},
        tags={"kind": "sale", "shop": "1"},
        unsubscribe="https://shop.example/u/{{token}}",
        **terms,
    )
    entry = Entry(*ANN[:2], headers={"x-kind": "vip"}, tags={"kind": "vip"})
    assert LocalMails(sale).mail(entry) == Message(
        sender="S <s@shop.example>",
        to="Ann <ann@example.com>",
        subject="For Ann & Co",
        html="<p>Ann &amp; Co</p>",
        headers={"x-kind": "vip", "X-Shop": "1"},
        tags={"kind": "vip", "shop": "1"},
        unsubscribe="https://shop.example/u/a%2Fb",
        **terms,
    )


def test_a_plain_campaign_makes_plain_mails() -> None:
    mail = LocalMails(campaign(escape=False)).mail(ANN)
    assert mail.html == "<p>Ann & Co</p>"
    assert mail.model_fields_set == {"sender", "to", "subject", "text", "html"}


@pytest.mark.parametrize(
    ("terms", "data", "said"),
    [
        ({}, {}, "subject: 'name' is undefined"),
        ({"unsubscribe": "https://s.example/{{token}}"}, {"name": "A"}, "unsubscribe: 'token' is undefined"),
        ({}, {"name": "A\r\nBcc: x@y.example"}, "mail: subject: "),
        ({"html": "{{ name[1:] }}"}, {"name": "A"}, "mail: text: both text and html are empty"),
    ],
)
def test_what_comes_to_no_mail_is_told(terms: dict[str, Any], data: dict[str, str], said: str) -> None:
    with pytest.raises(RenderingFailure, match=said):
        LocalMails(campaign(**terms)).mail(Entry("a@b.example", data))


def test_a_template_that_doesnt_compile_is_told_at_once() -> None:
    with pytest.raises(TemplateBroken, match="html, line 1: the template doesn't compile"):
        LocalMails(campaign(html="{% if %}"))
