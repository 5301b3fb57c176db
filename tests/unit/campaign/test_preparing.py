"""What a request says: values are escaped in HTML, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign.handlebars import render
from rq_ses.campaign.placeholders import find, replaced
from rq_ses.campaign.preparing import Preparation, Prepared
from rq_ses.campaign.syntax import Value, parse


def prepared(template: Template, *data: dict[str, Any], **terms: Any) -> Prepared:
    campaign = Campaign(name="spring", sender="shop@example.com", template=template, **terms)
    return Preparation(campaign).of([Entry("ann@example.org", one) for one in data])


def rendered(request: Prepared, number: int) -> list[str]:
    """Fill the parts as SES does: each value as it is."""
    data = json.loads(request.data[number])
    parts = (request.subject, request.text, request.html)
    return [replaced(part or "", lambda name, _: str(data[name])) for part in parts]


ALL = Template(subject="{{ a }}", text="{{{a}}} {{b}}", html="<p>{{a}} {{b}} {{c}} {{{d}}}")


def test_a_value_is_escaped_in_html_and_nowhere_else() -> None:
    request = prepared(
        ALL, {"a": "A&B", "b": "<i>", "c": "\"'", "d": "<b>"}, {"a": "x", "b": "y", "c": "z", "d": ""}
    )
    assert rendered(request, 0) == ["A&B", "A&B <i>", "<p>A&amp;B &lt;i&gt; &quot;&#x27; <b>"]
    assert rendered(request, 1) == ["x", "x y", "<p>x y z "]


def test_a_request_without_such_values_says_each_once() -> None:
    request = prepared(ALL, {"a": "x", "b": 1, "c": True, "d": "<b>"})
    assert (request.subject, request.html) == ("{{a}}", "<p>{{a}} {{b}} {{c}} {{d}}")
    assert json.loads(request.data[0]) == {"a": "x", "b": 1, "c": True, "d": "<b>"}


def test_the_second_form_has_a_name_that_nobody_else_has() -> None:
    template = Template(subject="{{a}}", html="{{a}} {{a_html}}")
    request = prepared(template, {"a": "<", "a_html": "mine"})
    assert rendered(request, 0) == ["<", "", "&lt; mine"]


def test_nothing_is_escaped_where_that_is_not_wanted() -> None:
    template = ALL.model_copy(update={"escape": False})
    assert rendered(prepared(template, {"a": "<", "b": "<", "c": "<", "d": "<"}), 0)[2] == "<p>< < < <"


def test_a_stored_template_has_all_of_its_values_escaped_or_none() -> None:
    data = {"a": "<", "rows": [{"b": "&"}, 1]}
    assert json.loads(prepared(Template(name="w"), data).data[0]) == data
    request = prepared(Template(name="w", escape=True), data)
    assert json.loads(request.data[0]) == {"a": "&lt;", "rows": [{"b": "&amp;"}, 1]}
    assert (request.subject, request.text, request.html) == (None, None, None)


def test_the_link_to_unsubscribe_is_each_recipients_own() -> None:
    link = "https://example.com/u/{{token}}"
    request = prepared(Template(subject="x", text="y"), {"token": "a/b ü"}, unsubscribe=link)
    assert request.headers == [
        {
            "List-Unsubscribe": "<https://example.com/u/a%2Fb%20%C3%BC>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
    ]


PIECES = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "{{",
            "}}",
            "{{{",
            "}}}",
            "name",
            "a",
            " ",
            "\n",
            "#if",
            "/if",
            ".",
            "else",
            "~",
            "!",
            "&",
            "\\",
        ]
    ),
    max_size=9,
)


@given(PIECES)
def test_what_is_taken_for_placeholders_is_that_for_ses_too(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        found = find(text)
    except ValueError:
        return
    data = dict.fromkeys(found.names, "<x>")
    sent = replaced(text, lambda name, _: f"{{{{{name}}}}}")
    values = {node.path.text for node in parse(sent, simple=True).nodes if isinstance(node, Value)}
    assert values == found.names
    assert render(sent, data, simple=True) == replaced(text, lambda name, _: data[name])
