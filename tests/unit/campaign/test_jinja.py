"""Templates rendered by us: filled in, escaped, and kept inside their data and their bounds."""

from __future__ import annotations

import pytest

from rq_ses.campaign.jinja import LocalTemplate, Rendered, RenderingFailure, TemplateBroken
from rq_ses.campaign.sandbox import STEPS


def rendered(source: str, **data: object) -> str | None:
    return LocalTemplate("s", source, escape=True).render(data).text


def test_an_entrys_data_stand_where_the_template_names_them() -> None:
    template = LocalTemplate(
        "Hello {{ name }}",
        "{% for item in cart %}{{ loop.index }}/{{ loop.length }} {{ item.title ~ '!' }}\n{% endfor %}",
        "<p>{{ name }}</p>",
        escape=True,
    )
    data = {"name": "Ann", "cart": [{"title": "Tea"}, {"title": "Milk"}]}
    assert template.render(data) == Rendered("Hello Ann", "1/2 Tea!\n2/2 Milk!\n", "<p>Ann</p>")


def test_values_are_escaped_in_html_alone_and_only_where_that_is_asked_for() -> None:
    source = "{{ name }} {{ name|safe }}"
    assert LocalTemplate(source, source, source, escape=True).render({"name": "<i>"}) == Rendered(
        "<i> <i>", "<i> <i>", "&lt;i&gt; <i>"
    )
    assert LocalTemplate("s", None, source, escape=False).render({"name": "<i>"}).html == "<i> <i>"


def test_a_template_says_which_names_it_looks_for_and_which_must_be_there() -> None:
    template = LocalTemplate(
        "{{ a }}",
        "{% if b %}{{ c }}{% endif %}{% if d is defined %}{{ d }}{% endif %}{{ e|default('-') }}",
        "{% for x in f %}{{ x }}{{ g }}{% endfor %}{{ h.i if j else k }}{% set l = 1 %}{{ l }}{{ m or n }}"
        "{% macro o(p) %}{{ p }}{{ q }}{% endmacro %}{{ o(r) }}{{ s['t'] }}{{ range(3)|join }}",
        escape=True,
    )
    assert "".join(sorted(template.required)) == "abfjmrs"
    assert "".join(sorted(template.placeholders)) == "abcdefghjkmnqrs"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ name }}", "text: 'name' is undefined"),
        ("{{ known.city }}", "text: 'dict object' has no attribute 'city'"),
        ("{{ 1 / 0 }}", "text: ZeroDivisionError: division by zero"),
        ("{% for x in 5 %}{% endfor %}", "text: TypeError: 'int' object is not iterable"),
    ],
)
def test_what_cant_be_rendered_is_named(source: str, said: str) -> None:
    with pytest.raises(RenderingFailure) as caught:
        rendered(source, known={})
    assert str(caught.value) == said
    assert caught.value.part == "text"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a\n{% if %}", "text, line 2: the template doesn't compile: Expected an expression"),
        ("{{ x|nofilter }}", "No filter named 'nofilter'"),
        ("{% include 'x' %}", "{% include %} can't be used"),
        ("{% import 'x' as y %}", "{% import %} can't be used"),
        ("{% from 'x' import y %}", "{% import %} can't be used"),
        ("{% extends 'x' %}", "{% extends %} can't be used"),
        ("{% for x in y recursive %}{% endfor %}", "a recursive loop can't be used: call a macro"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + "}}", "nested too deep"),
        ("{{ name", "unexpected end of template"),
    ],
)
def test_a_template_that_doesnt_compile_says_where_and_why(source: str, said: str) -> None:
    with pytest.raises(TemplateBroken, match="the template doesn't compile") as caught:
        LocalTemplate("s", source, escape=True)
    assert said in str(caught.value)
    assert caught.value.part == "text"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ name.append(1) }}",
        "{{ self.__init__ }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ name|attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ lipsum(5) }}",
    ],
)
def test_no_template_reaches_out_of_its_data(source: str) -> None:
    with pytest.raises(RenderingFailure, match=r"unsafe|undefined|no attribute"):
        rendered(source, name=[])


LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
CALLS = "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(100) }}"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (LOOPS, f"more than {STEPS:,} steps"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "without an end"),
        ("{% block a %}{{ self.a() }}{% endblock %}", "without an end"),
        ("{% set x = 'xxxxxxxxxx' %}" + "{% set x = x + x %}" * 40, "41,943,040 at most"),
        ("{% set x = 'xxxxxxxxxx' %}" + "{% set x = x ~ x %}" * 40, "41,943,040 at most"),
        ("{{ 'x' * 10**9 }}", "41,943,040 at most"),
        ("{{ 10**9 * [1] }}", "41,943,040 at most"),
        ("{{ 2**10000 }}", "1,000 at most"),
        ("{{ (2**400) * (2**400) * (2**400) }}", "1,000 at most"),
        ("{{ ('a' * 1000)|replace('a', 'b' * 1000000) }}", "41,943,040 at most"),
        ("{{ ('a' * 1000)|join('b' * 1000000) }}", "41,943,040 at most"),
        ("{{ 'x'|center(1000000000) }}", "1,000 at most"),
        ("{{ [1]|batch(1000000000, 0)|list }}", "1,000 at most"),
        ("{{ 1|tojson(indent=1000000000) }}", "1,000 at most"),
        ("{{ 'x'.ljust(1000000000) }}", "unsafe"),
        ("{{ '%1000000000d' % 1 }}", "widths"),
        ("{{ '%1000000000d'|format(1) }}", "widths"),
        ("{{ '%*d'|format(1000000000, 1) }}", "widths"),
        ("{{ '{:1000000000}'.format(1) }}", "widths"),
        ("{{ '{:{}}'.format(1, 1000000000) }}", "widths"),
        ("{{ range(1000000)|list }}", "Range too big"),
    ],
)
def test_a_template_that_would_run_for_ever_or_fill_the_memory_fails(source: str, said: str) -> None:
    with pytest.raises(RenderingFailure, match=said):
        rendered(source)


def test_a_text_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rq_ses.campaign.jinja.MOST", 10_000)
    with pytest.raises(RenderingFailure, match="10,000 at most"):
        rendered("{% for x in range(2000) %}123456{% endfor %}")


def test_what_a_mail_needs_passes_the_bounds() -> None:
    source = (
        "{{ 10|round(2) }} {{ 'a\nb'|indent(4) }} {{ 'a,b'.split(',')|join('-') }} {{ 1234567|tojson }} "
        "{{ '%.2f'|format(3.14159) }} {{ '{:>5}'.format(7) }} {{ 'aXb'|replace('X', '-') }} {{ 3 * 4 }}"
    )
    assert rendered(source) == "10 a\n    b a-b 1234567 3.14     7 a-b 12"


def test_what_one_part_sets_no_other_part_nor_mail_sees() -> None:
    template = LocalTemplate("{% set a = 'set' %}{{ a }}", "{{ a|default('none') }}", escape=True)
    assert template.render({}) == template.render({}) == Rendered("set", "none", None)
