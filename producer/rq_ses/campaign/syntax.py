"""A template of SES's taken apart: texts, values, blocks and partials. Pure, and linear in its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, get_args

MAX_NESTING: Final = 50
"""Blocks within each other."""

Kind = Literal["if", "unless", "each", "with"]
KINDS: Final = get_args(Kind)

_NAME: Final = r"""(?:[^\s!"#%&'()*+,./;<=>@\[\\\]^`{|}~]+|\[[^\[\]{}]*\])"""
_NAMES: Final = re.compile(rf"{_NAME}(?:[./]{_NAME})*")
_ONE: Final = re.compile(_NAME)
_INLINE: Final = re.compile(r"""\*\s*inline\s+(?:"([^"]+)"|'([^']+)')""")
_PARTIAL: Final = re.compile(rf"""(?:"([^"]+)"|'([^']+)'|({_NAME}(?:[./]{_NAME})*))""")
_VARIABLES: Final = frozenset({"index", "key", "first", "last", "root"})
_SHOWN: Final = 40


class TemplateError(ValueError):
    """Base of what can be wrong with a template, or with its data."""


class UnknownConstruct(TemplateError):
    """Raised when a template holds what SES's language hasn't; `construct` is it, `line` counts from 1."""

    def __init__(self, construct: str, line: int, problem: str) -> None:
        self.construct = construct
        self.line = line
        shown = construct if len(construct) <= _SHOWN else f"{construct[:_SHOWN]}…"
        super().__init__(f"line {line}: {shown} {problem}")


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value is: `up` scopes outwards, or in the `@` variable, then by `names`."""

    text: str
    names: tuple[str, ...]
    up: int = 0
    variable: str | None = None

    @classmethod
    def read(cls, text: str) -> Path:
        """Return the path that `text` writes. Raises TemplateError when it writes none."""
        rest, up = text, 0
        while rest.startswith("../"):
            rest, up = rest[3:], up + 1
        if rest == "..":
            return cls(text, (), up + 1)
        rest = rest.removeprefix("./")
        if rest in (".", "this", ""):
            return cls(text, (), up)
        for here in ("this.", "this/"):
            rest = rest.removeprefix(here)
        variable = None
        if rest.startswith("@"):
            variable, dot, rest = rest[1:].partition(".")
            if variable not in _VARIABLES or (dot and variable != "root"):
                raise TemplateError("is no variable: use @index, @key, @first, @last or @root")
            if not dot:
                return cls(text, (), up, variable)
        if not _NAMES.fullmatch(rest):
            raise TemplateError("is no name: a value is written {{name}} or {{a.name}}")
        return cls(text, tuple(name.strip("[]") for name in _ONE.findall(rest)), up, variable)


@dataclass(frozen=True, slots=True)
class Value:
    """A value to show; `raw` when it is written `{{{…}}}` or `{{&…}}`."""

    path: Path
    raw: bool


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial to put here."""

    name: str


@dataclass(slots=True)
class Body:
    """What stands between two tags, and the partials that are defined there."""

    nodes: list[Node] = field(default_factory=list)
    partials: dict[str, Body] = field(default_factory=dict)


@dataclass(slots=True)
class Block:
    """A condition or a loop, with its else."""

    kind: Kind
    path: Path
    body: Body = field(default_factory=Body)
    inverse: Body = field(default_factory=Body)


Node = str | Value | Block | Partial


@lru_cache(maxsize=64)
def parse(template: str, *, simple: bool = False) -> Body:
    """Return what a template is made of; `simple` allows values alone. Raises UnknownConstruct.

    The result is shared: leave it as it is.
    """
    return _Parser(template, simple).parse()


@dataclass(frozen=True, slots=True)
class _Tag:
    start: int
    end: int
    content: str
    raw: bool


@dataclass(slots=True)
class _Open:
    """A block that isn't closed yet: what closes it, where its content goes, how many ends it has."""

    word: str
    tag: _Tag
    body: Body
    block: Block | None = None


class _Parser:
    """One template on its way into a tree."""

    def __init__(self, text: str, simple: bool) -> None:
        self._text = text
        self._simple = simple
        self._root = Body()
        self._open: list[_Open] = []
        self._trim = False

    @property
    def _body(self) -> Body:
        return self._open[-1].body if self._open else self._root

    def parse(self) -> Body:
        at = 0
        for tag in self._tags():
            self._add_text(self._text[at : tag.start])
            at = tag.end
            content = tag.content
            if content.startswith("~"):
                self._trim_last()
            self._trim = content.endswith("~")
            self._take(tag, content.strip("~").strip())
        self._add_text(self._text[at:])
        if self._open:
            raise self._problem(self._open[-1].tag, "is never closed")
        return self._root

    def _tags(self) -> Iterator[_Tag]:
        text, at = self._text, 0
        while (start := text.find("{{", at)) >= 0:
            opening, closing = "{{", "}}"
            if text.startswith("{{{", start):
                opening, closing = "{{{", "}}}"
            elif text.startswith(("{{!--", "{{~!--"), start):
                closing = "--}}"
            end = text.find(closing, start + len(opening))
            if end < 0:
                raise self._problem(_Tag(start, start + _SHOWN, "", False), f"has no {closing}")
            content = text[start + len(opening) : end]
            end += len(closing)
            at = end
            if start and text[start - 1] == "\\":
                yield _Tag(start - 1, start, "!", False)  # the text itself follows as text
                continue
            yield _Tag(start, end, content, opening == "{{{")

    def _take(self, tag: _Tag, content: str) -> None:
        sigil, rest = content[:1], content[1:].strip()
        if sigil == "!":
            return
        if tag.raw or sigil == "&":
            self._value(tag, content if tag.raw else rest, raw=True)
        elif (sigil and sigil in "#^/>") or content.split(None, 1)[:1] == ["else"]:
            if self._simple:
                raise self._problem(tag, "can't stand in a template that is sent along: store it in SES")
            self._control(tag, sigil, rest, content)
        else:
            self._value(tag, content, raw=False)

    def _control(self, tag: _Tag, sigil: str, rest: str, content: str) -> None:
        if sigil == "#":
            self._begin(tag, rest)
        elif sigil == "/":
            self._end(tag, rest)
        elif sigil == ">":
            match = _PARTIAL.fullmatch(rest)
            if match is None:
                raise self._problem(tag, "names no partial: write {{> name}}, without anything else")
            self._body.nodes.append(Partial(match[1] or match[2] or match[3]))
        else:
            self._otherwise(tag, rest if sigil == "^" else content[4:].strip())

    def _begin(self, tag: _Tag, rest: str) -> None:
        if len(self._open) >= MAX_NESTING:
            raise self._problem(tag, f"is within more than {MAX_NESTING} blocks")
        inline = _INLINE.fullmatch(rest)
        if inline:
            body = self._body.partials[inline[1] or inline[2]] = Body()
            self._open.append(_Open("inline", tag, body))
            return
        block = self._block(tag, rest)
        self._body.nodes.append(block)
        self._open.append(_Open(block.kind, tag, block.body, block))

    def _block(self, tag: _Tag, rest: str) -> Block:
        kind, path = (*rest.split(None, 1), "", "")[:2]
        if kind not in KINDS:
            raise self._problem(tag, "is no block of SES's: use #if, #unless, #each or #with")
        return Block(kind, self._path(tag, path))  # type: ignore[arg-type]

    def _otherwise(self, tag: _Tag, rest: str) -> None:
        top = self._open[-1] if self._open else None
        if top is None or top.block is None or top.body is not top.block.body:
            raise self._problem(tag, "belongs to no block")
        if not rest:
            top.body = top.block.inverse
            return
        # {{else if b}} is a block within the else, which ends with the one around it.
        block = self._block(tag, rest)
        top.block.inverse.nodes.append(block)
        top.block, top.body = block, block.body

    def _end(self, tag: _Tag, word: str) -> None:
        if not self._open or self._open[-1].word != word:
            opened = (
                f"closes no block: {{{{/{self._open[-1].word}}}}} is due" if self._open else "closes no block"
            )
            raise self._problem(tag, opened)
        self._open.pop()

    def _value(self, tag: _Tag, content: str, *, raw: bool) -> None:
        path = self._path(tag, content.strip())
        self._body.nodes.append(Value(path, raw))

    def _path(self, tag: _Tag, text: str) -> Path:
        if not text:
            raise self._problem(tag, "names no value")
        try:
            return Path.read(text)
        except TemplateError as exc:
            helper = any(mark in text for mark in " \t\r\n(=|\"'")
            problem = "is no construct of SES's templates: helpers can't be used" if helper else str(exc)
            raise self._problem(tag, problem) from exc

    def _add_text(self, text: str) -> None:
        if self._trim:
            text = text.lstrip()
        if text:
            self._body.nodes.append(text)

    def _trim_last(self) -> None:
        nodes = self._body.nodes
        if nodes and isinstance(nodes[-1], str):
            nodes[-1] = nodes[-1].rstrip()

    def _problem(self, tag: _Tag, problem: str) -> UnknownConstruct:
        line = self._text.count("\n", 0, tag.start) + 1
        return UnknownConstruct(self._text[tag.start : tag.end], line, problem)
