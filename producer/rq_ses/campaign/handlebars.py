"""The language of SES's templates: the Handlebars that SES documents, filled in as SES does.

    {{name}}  {{contact.city}}  {{{name}}}  {{&name}}     a value; SES escapes none of them
    {{#if a}} … {{else if b}} … {{else}} … {{/if}}        {{#unless a}} … {{/unless}}
    {{#each list}} {{this}} {{@index}} {{../name}} … {{else}} … {{/each}}
    {{#with a}} … {{/with}}
    {{#* inline "footer"}} … {{/inline}}  {{> footer}}    a partial of the template's own
    {{! … }}  {{!-- … --}}  {{~name~}}  \\{{name}}

A value that isn't there, or null, ends the rendering; in a condition or a list it is only false. Names
are looked up where they stand, as handlebarsjs.com has it: `../` leads outwards. A template sent within a
request may hold nothing but values ("SES supports only simple substitutions", API reference, Template).

https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rq_ses.campaign.syntax import (
    Block,
    Body,
    Node,
    Path,
    TemplateError,
    UnknownConstruct,
    Value,
    parse,
)

__all__ = [
    "MissingData",
    "RenderingStopped",
    "TemplateError",
    "UnknownConstruct",
    "merged",
    "render",
]

MAX_OUTPUT: Final = 40 * 1024 * 1024
"""Characters of a rendered text: a longer one is no mail (SES takes 40 MB)."""

MAX_STEPS: Final = 1_000_000
"""Values, blocks and pieces of text in one rendering: lists in lists grow fast."""

MAX_DEPTH: Final = 100
"""Blocks and partials within each other while rendering."""

_MISSING: Final = object()


class MissingData(TemplateError):
    """Raised when the data lacks a value that the template shows; `name` is its path, in SES's words."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Attribute '{name}' is not present in the rendering data.")


class RenderingStopped(TemplateError):
    """Raised when a template can't be filled in though its data is there."""


def render(template: str, data: Mapping[str, Any], *, escape: bool = False, simple: bool = False) -> str:
    """Return the template filled in with `data`, which is as JSON has it.

    With `escape`, values in `{{…}}` are HTML-escaped, which SES never does. `simple` is for a template that
    is sent within the request. Raises MissingData, UnknownConstruct, RenderingStopped.
    """
    rendering = _Rendering(escape)
    rendering.body(parse(template, simple=simple), _Scope(data), {}, 0)
    return "".join(rendering.pieces)


def merged(defaults: Mapping[str, Any], replacement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of one entry of SendBulkEmail: members of objects one by one, all else replaced.

    As measured on SES, whose prose speaks of the whole object (domdomegg/aws-ses-v2-local, pull request 103).
    """
    both = dict(defaults)
    for name, value in replacement.items():
        old = both.get(name)
        inner = isinstance(old, Mapping) and isinstance(value, Mapping)
        both[name] = merged(old, value) if inner else value  # type: ignore[arg-type]
    return both


class _Scope:
    """What names mean at one place: the value in hand, `@` variables, and the scope around it."""

    __slots__ = ("around", "at", "value")

    def __init__(self, value: Any, around: _Scope | None = None, at: Mapping[str, Any] | None = None) -> None:
        self.value = value
        self.around = around
        self.at = at or {}

    def find(self, path: Path) -> Any:
        scope = self
        for _ in range(path.up):
            if scope.around is None:
                return _MISSING
            scope = scope.around
        if path.variable is None:
            return _found(scope.value, path.names)
        if path.variable == "root":
            while scope.around is not None:
                scope = scope.around
            return _found(scope.value, path.names)
        while path.variable not in scope.at and scope.around is not None:
            scope = scope.around
        return scope.at.get(path.variable, _MISSING)


class _Rendering:
    """One text in the making, bounded."""

    def __init__(self, escape: bool) -> None:
        self.pieces: list[str] = []
        self._escape = escape
        self._size = 0
        self._steps = 0

    def body(self, body: Body, scope: _Scope, partials: Mapping[str, Body], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RenderingStopped(f"more than {MAX_DEPTH} blocks or partials within each other")
        if body.partials:
            partials = {**partials, **body.partials}
        for node in body.nodes:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise RenderingStopped(f"more than {MAX_STEPS:,} steps: shorten its lists")
            self._node(node, scope, partials, depth)

    def _node(self, node: Node, scope: _Scope, partials: Mapping[str, Body], depth: int) -> None:
        if isinstance(node, str):
            self._add(node)
        elif isinstance(node, Value):
            text = _shown(scope.find(node.path), node.path)
            self._add(html.escape(text) if self._escape and not node.raw else text)
        elif isinstance(node, Block):
            self._block(node, scope, partials, depth + 1)
        elif node.name in partials:
            self.body(partials[node.name], scope, partials, depth + 1)
        else:
            raise RenderingStopped(f"the partial {node.name!r} does not exist: define it in this very text")

    def _block(self, block: Block, scope: _Scope, partials: Mapping[str, Body], depth: int) -> None:
        value = scope.find(block.path)
        if block.kind == "each" and (pairs := _pairs(value)):
            for index, (key, one) in enumerate(pairs):
                at = {"index": index, "key": key, "first": index == 0, "last": index == len(pairs) - 1}
                self.body(block.body, _Scope(one, scope, at), partials, depth)
        elif block.kind == "each" or _is_true(value) == (block.kind == "unless"):
            self.body(block.inverse, scope, partials, depth)
        elif block.kind == "with":
            self.body(block.body, _Scope(value, scope), partials, depth)
        else:
            self.body(block.body, scope, partials, depth)

    def _add(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_OUTPUT:
            raise RenderingStopped(f"longer than {MAX_OUTPUT:,} characters: no mail may be")
        self.pieces.append(text)


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def _found(value: Any, names: Iterable[str]) -> Any:
    for name in names:
        if isinstance(value, Mapping):
            value = value.get(name, _MISSING)
        elif isinstance(value, list | tuple) and name.isascii() and name.isdecimal() and len(name) < 10:
            value = value[int(name)] if int(name) < len(value) else _MISSING
        elif isinstance(value, list | tuple) and name == "length":
            value = len(value)
        else:
            return _MISSING
    return value


def _is_true(value: Any) -> bool:
    return value is not _MISSING and (isinstance(value, Mapping) or bool(value))


def _shown(value: Any, path: Path) -> str:
    if value is _MISSING or value is None:
        raise MissingData(path.text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    kind = "a list" if isinstance(value, list | tuple) else "an object"
    raise RenderingStopped(f"{path.text!r} is {kind} and can't be shown: name a value in it")
