"""Campaigns, templates and entries: what is taken, and what is said of what isn't."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rq_ses import explain
from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign import entry as entry_module
from rq_ses.campaign.placeholders import Placeholders, find

INLINE: dict[str, Any] = {"subject": "For {{name}}", "html": "<p>{{name}} {{{link}}}"}
TERMS: dict[str, Any] = {"name": "spring-sale", "sender": "shop@example.com", "template": INLINE}


def problem(build: Any, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        build(**fields)
    return "; ".join(explain(caught.value))


def test_placeholders_are_found_with_spaces_and_raw_ones_apart() -> None:
    assert find("a{b:{{c}}} {{ name }} {{{raw}}} }}") == Placeholders(
        frozenset({"c", "name"}), frozenset({"raw"})
    )


@pytest.mark.parametrize(
    "text",
    [
        "{{#if x}}",
        "{{/if}}",
        "{{a.b}}",
        "{{>part}}",
        "{{else}}",
        "{{{a}}",
        "{{}}",
        "{{&a}}",
        "{{ä}}",
        "{{~a}}",
        "{{!a}}",
        "\\{{a}}",
    ],
)
def test_what_is_no_placeholder_is_named_with_its_line_and_the_ways_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: .* is no placeholder: write \{\{name\}\}.*name=.*jinja2"):
        find(f"first\n {text}")


def test_an_inline_template_knows_its_placeholders_and_escapes_html() -> None:
    template = Template(**INLINE)
    assert template.placeholders["html"] == Placeholders(frozenset({"name"}), frozenset({"link"}))
    assert template.escapes
    assert not Template(**INLINE, escape=False).escapes


def test_a_stored_template_escapes_only_where_it_is_asked_to() -> None:
    assert not Template(name="welcome").escapes
    assert Template(name="welcome", escape=True).escapes
    assert Template(name="welcome").placeholders == {}


def test_a_template_of_jinja2_has_its_own_language() -> None:
    assert Template(subject="{{ a.b }}", text="{% if x %}y{% endif %}", engine="jinja2").placeholders == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "subject: is missing: give it, or the name of a template stored in SES; text: both"),
        ({"subject": "x"}, "text: both text and html are empty"),
        ({"name": "welcome", "html": "x"}, "html: a stored template"),
        ({"name": "welcome", "engine": "jinja2"}, "engine: a template stored in SES"),
        ({"name": "wel come"}, "'wel come' is not the name of a template"),
        ({"subject": "a\nb", "text": "x"}, "subject: 'a\\nb' holds a line break"),
        ({"subject": "x", "html": "{{#each a}}"}, "html: line 1: '{{#each a}}' is no placeholder"),
        ({"subject": "x", "text": "y", "engine": "mako"}, "engine"),
    ],
)
def test_a_template_that_cannot_be_used_is_explained(fields: dict[str, Any], words: str) -> None:
    assert words in problem(Template, **fields)


def test_a_campaign_is_read_from_its_json_as_it_was() -> None:
    campaign = Campaign(
        **TERMS,
        reply_to="help@example.com",
        tags={"b": "2", "a": "1"},
        attachments=[{"filename": "a.txt", "content": b"\xff"}],
        unsubscribe="https://example.com/u/{{token}}",
        expires=datetime(2030, 1, 1, tzinfo=UTC),
    )
    import json

    assert Campaign.from_payload(json.loads(campaign.to_payload())) == campaign
    assert campaign.link_placeholders.names == {"token"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a/b"}, "name: 'a/b' is not the name of a campaign: use 1-100"),
        ({"name": ""}, "is not the name of a campaign"),
        ({"sender": "shop"}, "sender: 'shop' is not an e-mail address"),
        ({"tags": {"rq-ses-job": "1"}}, "is the tag that holds"),
        ({"headers": {"Subject": "x"}}, "use the field subject"),
        ({"headers": {"List-Unsubscribe": "<x>"}, "unsubscribe": "https://x.example"}, "give one of them"),
        ({"unsubscribe": "https://example.com/{{#x"}, "unsubscribe: {{ begins no placeholder"),
        ({"expires": 3600}, "expires: 3600 is no moment with an offset"),
        ({"expires": "2030-01-01T00:00:00"}, "is no moment with an offset"),
        ({"expires": "tomorrow"}, "'tomorrow' is no date and time"),
        ({"on_unknown": "drop"}, "on_unknown"),
        ({"feedback_arn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com"}, "feedback_to"),
        ({"list_management": {"contact_list": "x"}}, "list_management: is not a field"),
        ({"from_": "x"}, "from_: is not a field: did you mean sender?"),
        ({"template": {"title": "x", "text": "y"}}, "template.title: is not a field: did you mean subject?"),
    ],
)
def test_a_campaign_that_cannot_be_sent_is_explained(fields: dict[str, Any], words: str) -> None:
    assert words in problem(Campaign, **{**TERMS, **fields})


def test_a_campaign_that_is_larger_than_any_mail_is_refused() -> None:
    files = [{"filename": f"{n}.bin", "content": bytes(16 * 1024 * 1024)} for n in range(2)]
    assert "attachments: template and attachments have" in problem(Campaign, **TERMS, attachments=files)


def test_an_entry_keeps_what_it_was_given_even_if_that_changes() -> None:
    data: dict[str, Any] = {"name": "Ann"}
    entry = Entry("ann@example.org", data)
    nested: dict[str, Any] = {"rows": [1, {"a": "b"}]}
    other = Entry("Bob <bob@Example.ORG>", nested, {"X-A": "1"}, {"a": "b"}, "bob")
    data["name"], nested["rows"] = "Bob", []
    assert (entry.data, other.data) == ({"name": "Ann"}, {"rows": [1, {"a": "b"}]})
    assert (other.to, other.headers, other.tags) == ("Bob <bob@example.org>", {"X-A": "1"}, {"a": "b"})
    assert (entry.identity, other.identity) == ("ann@example.org", "bob")
    assert Entry("Bob <bob@Example.ORG>").identity == "bob@example.org"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to": "ann"}, "to: 'ann' is not an e-mail address"),
        ({"to": ["ann@example.org"]}, "to: "),
        ({}, "to: is missing"),
        ({"to": "ann@example.org", "variables": {}}, "variables: is not a field: did you mean data?"),
        ({"to": "ann@example.org", "data": 5}, "data: 5 is not a mapping"),
        ({"to": "ann@example.org", "data": {"": "x"}}, "data: '' is not the name of a value"),
        ({"to": "ann@example.org", "data": {"a": "\0"}}, "data: 'a' holds a NUL character"),
        ({"to": "ann@example.org", "data": {"a": float("inf")}}, "data: 'a' is no finite number"),
        ({"to": "ann@example.org", "data": {"a": object()}}, "data: 'a' is a value of type object"),
        ({"to": "ann@example.org", "data": {"a": 2**70}}, "data: 'a' is a number beyond 64 bits"),
        ({"to": "ann@example.org", "data": {"a": "x" * 262_144}}, "bytes as JSON: SES takes 262144"),
        ({"to": "ann@example.org", "headers": {"To": "x"}}, "headers"),
        ({"to": "ann@example.org", "tags": {"rq-ses-job": "1"}}, "is the tag that holds"),
        ({"to": "ann@example.org", "key": ""}, "key: '' can't be used"),
    ],
)
def test_an_entry_that_cannot_be_sent_is_explained_and_its_data_never_shown(
    fields: dict[str, Any], words: str
) -> None:
    assert words in problem(lambda **given: Entry.read(given), **fields)


texts = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(["", "\0", "\ud800", "a\nb", "é&<"])
values = texts | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(texts, max_size=2)
addresses = st.emails() | st.sampled_from(
    [
        "ann@example.org",
        "Ann@Example.org",
        "a--b@example.org",
        "Ann <ann@example.org>",
        "ann",
        "a@b",
        "ä@b.de",
    ]
)


@given(addresses, st.dictionaries(texts, values, max_size=3))
def test_the_short_way_of_an_entry_takes_and_refuses_what_its_model_does(
    to: str, data: dict[str, Any]
) -> None:
    def told(build: Any) -> Any:
        try:
            return build()
        except ValidationError as exc:
            return explain(exc)

    assert told(lambda: Entry(to, data)) == told(lambda: Entry.read({"to": to, "data": data}))


def test_the_short_way_is_taken_by_what_most_entries_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_module, "_Checked", None)
    assert Entry("ann@example.org", {"name": "Žofie & Ann"}).data == {"name": "Žofie & Ann"}
    assert Entry("ann@example.org").data == {}
