"""The language of SES's templates."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from rq_ses.campaign import handlebars
from rq_ses.campaign.handlebars import (
    MissingData,
    RenderingStopped,
    TemplateError,
    UnknownConstruct,
    merged,
    render,
)

ANNA = {
    "name": "Anna <3",
    "contact": {"city": "Wien", "zip code": 1010},
    "tags": ["a", "b"],
    "items": [
        {"type": "dog", "name": "bobby", "best": True},
        {"type": "cat", "name": "pedro", "best": False},
    ],
    "empty": "",
    "none": [],
    "nothing": None,
    "zero": 0,
    "half": 0.5,
    "yes": True,
}

FOOTER = '{{#* inline "foot"}}-{{name}}-{{/inline}}'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hi", "Hi"),
        ("", ""),
        ("Hi {{name}}!", "Hi Anna <3!"),
        ("{{ name }} {{{name}}} {{& name}}", "Anna <3 Anna <3 Anna <3"),
        ("{{contact.city}} {{contact/city}} {{contact.[zip code]}}", "Wien Wien 1010"),
        ("{{tags.1}} {{tags.[0]}} {{tags.length}}", "b a 2"),
        ("{{zero}} {{half}} {{yes}} [{{empty}}]", "0 0.5 true []"),
        ("{{#if name}}y{{/if}}{{#if empty}}n{{/if}}{{#if zero}}n{{/if}}{{#if none}}n{{/if}}", "y"),
        ("{{#if gone}}n{{else}}y{{/if}}{{#if nothing.at.all}}n{{^}}y{{/if}}", "yy"),
        ("{{#if gone}}a{{else if zero}}b{{else if yes}}c{{else}}d{{/if}}.", "c."),
        ("{{#unless gone}}y{{else}}n{{/unless}}{{#unless yes}}n{{else}}y{{/unless}}", "yy"),
        ("{{#each tags}}{{@index}}{{this}}{{#unless @last}},{{/unless}}{{/each}}", "0a,1b"),
        ("{{#each tags}}{{.}}{{../contact.city}}{{@root.zero}} {{/each}}", "aWien0 bWien0 "),
        ("{{#each contact}}{{@key}}={{this}};{{/each}}", "city=Wien;zip code=1010;"),
        ("{{#each none}}n{{else}}y{{/each}}{{#each gone}}n{{/each}}", "y"),
        ("{{#each items}}{{name}} is {{#if best}}the best{{else}}a {{type}}{{/if}}, {{/each}}",
         "bobby is the best, pedro is a cat, "),
        ("{{#each items}}{{#each ../tags}}{{@index}}{{../name}} {{/each}}{{/each}}",
         "0bobby 1bobby 0pedro 1pedro "),
        ("{{#with contact}}{{city}} {{this.city}} {{../half}}{{/with}}{{#with gone}}n{{else}}y{{/with}}",
         "Wien Wien 0.5y"),
        (FOOTER + "{{> foot}}{{#with contact}}{{#*inline 'foot'}}{{city}}{{/inline}}{{>foot}}{{/with}}",
         "-Anna <3-Wien"),
        ("a{{! no }}b{{!-- {{name}} --}}c", "abc"),
        ("a {{~#if yes~}} \n b {{~/if~}} c", "abc"),
        (r"\{{name}} {{yes}}", "{{name}} true"),
        ("{ name } {{yes}}}", "{ name } true}"),
    ],
)  # fmt: skip
def test_templates_are_filled_in(template: str, text: str) -> None:
    assert render(template, ANNA) == text


def test_only_who_asks_for_it_gets_escaped_values() -> None:
    assert render("<b>{{name}}</b> {{{name}}} {{&name}}", ANNA, escape=True) == (
        "<b>Anna &lt;3</b> Anna <3 Anna <3"
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("Hi {{Name}}", "Name"),
        ("{{contact.street}}", "contact.street"),
        ("{{name.first}}", "name.first"),
        ("{{nothing}}", "nothing"),
        ("{{tags.2}}", "tags.2"),
        ("{{#each items}}{{age}}{{/each}}", "age"),
        ("{{#each items}}{{half}}{{/each}}", "half"),
        ("{{../name}}", "../name"),
        ("{{@index}}", "@index"),
    ],
)
def test_a_value_that_is_not_there_ends_the_rendering(template: str, name: str) -> None:
    with pytest.raises(MissingData) as raised:
        render(template, ANNA)
    assert raised.value.name == name
    assert str(raised.value) == f"Attribute '{name}' is not present in the rendering data."


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\nb {{#foo}}{{/foo}}", "line 2: {{#foo}} is no block of SES's"),
        ("{{#if a}}", "line 1: {{#if a}} is never closed"),
        ("{{#if a}}{{/each}}", "closes no block: {{/if}} is due"),
        ("{{/if}}", "closes no block"),
        ("{{else}}", "belongs to no block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "belongs to no block"),
        ("{{upper name}}", "helpers can't be used"),
        ("{{#if (eq a b)}}{{/if}}", "helpers can't be used"),
        ("{{#each a as |b|}}{{/each}}", "helpers can't be used"),
        ("{{a", "has no }}"),
        ("{{{a}} b", "has no }}}"),
        ("{{!-- a }}", "has no --}}"),
        ("{{}}", "names no value"),
        ("{{#if}}{{/if}}", "names no value"),
        ("{{a..b}}", "is no name"),
        ("{{@first.x}}", "is no variable"),
        ("{{> a b}}", "names no partial"),
        ("{{^a}}{{/a}}", "belongs to no block"),
        ("{{#if a}}" * 51, "is within more than 50 blocks"),
        ("{{{{raw}}}} {{{{/raw}}}}", "is no name"),
    ],
)
def test_what_the_language_lacks_is_named_with_its_line(template: str, words: str) -> None:
    with pytest.raises(UnknownConstruct) as raised:
        render(template, ANNA)
    assert words in str(raised.value)


@pytest.mark.parametrize("tag", ["{{#if a}}{{/if}}", "{{else}}", "{{> a}}", "{{#each a}}{{/each}}", "{{^a}}"])
def test_a_template_that_is_sent_along_holds_values_alone(tag: str) -> None:
    assert render("{{name}} {{{contact.city}}}{{! x }}", ANNA, simple=True) == "Anna <3 Wien"
    with pytest.raises(UnknownConstruct, match="store it in SES"):
        render(tag, ANNA, simple=True)


@pytest.mark.parametrize(
    ("template", "data", "words"),
    [
        ("{{a}}", {"a": {"b": 1}}, "'a' is an object"),
        ("{{a}}", {"a": [1]}, "'a' is a list"),
        ("{{> b}}", {}, "the partial 'b' does not exist"),
        ('{{#* inline "b"}}{{> b}}{{/inline}}{{> b}}', {}, "more than 100"),
        (
            "{{#each a}}" + "{{#each this}}" * 3 + "x" + "{{/each}}" * 4,
            {"a": 40 * [40 * [40 * [40 * [0]]]]},
            "steps",
        ),
        ("{{#each a}}" + 50_000 * "x" + "{{/each}}", {"a": 1000 * [0]}, "longer than 41,943,040"),
    ],
)
def test_a_rendering_that_leads_nowhere_is_stopped(
    monkeypatch: pytest.MonkeyPatch, template: str, data: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(handlebars, "MAX_STEPS", 100_000)
    with pytest.raises(RenderingStopped, match=words):
        render(template, data)


def test_an_entrys_data_goes_over_the_defaults_member_by_member() -> None:
    defaults = {"a": 1, "b": {"c": 2, "d": [3]}, "e": {"f": 4}}
    assert merged(defaults, {"b": {"d": [5], "g": 6}, "e": 7, "h": 8}) == {
        "a": 1,
        "b": {"c": 2, "d": [5], "g": 6},
        "e": 7,
        "h": 8,
    }
    assert merged(defaults, {}) == defaults


def test_all_of_it_is_one_kind_of_error() -> None:
    assert all(issubclass(one, TemplateError) for one in (MissingData, RenderingStopped, UnknownConstruct))
    assert issubclass(TemplateError, ValueError)


@pytest.mark.parametrize("piece", ["{{a}}", "{{!--", "{{#if a}}", "{{", "\\{{a}}", "{{{a}}", "{{a ~}} "])
def test_long_templates_are_read_in_their_length(piece: str) -> None:
    with contextlib.suppress(TemplateError):
        render(20_000 * piece, {"a": 1})
