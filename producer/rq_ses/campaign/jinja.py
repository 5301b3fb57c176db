"""Templates that are rendered here, and not by SES: Jinja2's, compiled once and filled in for each entry.

Jinja2 comes with the extras `campaigns` and `worker`, so this is imported where such a template comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any, Final, NamedTuple

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context

from rq_ses.campaign.sandbox import BUDGET, MOST, Budget, Environment, bounded_tree, sized
from rq_ses.campaign.template import PARTS
from rq_ses.text.plaintext import one_line

_LINE: Final = 300


class TemplateBroken(ValueError):
    """Raised when a template doesn't compile; `part` is subject, text or html, `line` counts from 1."""

    def __init__(self, part: str, reason: str, line: int | None = None) -> None:
        self.part, self.line = part, line
        where = f"{part}, line {line}" if line and part != "subject" else part
        super().__init__(f"{where}: the template doesn't compile: {one_line(reason, _LINE)}")


class RenderingFailure(ValueError):
    """Raised when a template can't be filled in with an entry's data; the text says where, and why."""

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        super().__init__(f"{part}: {one_line(reason, _LINE)}")


class Rendered(NamedTuple):
    """What a template becomes for one entry."""

    subject: str
    text: str | None
    html: str | None


class LocalTemplate:
    """A template in Jinja2's language. Threads may share it.

    Args:
        subject: one line when it is rendered.
        text: the plain text; None if there is none.
        html: the same as HTML.
        escape: values become text in the HTML, and no markup, unless they are `|safe`.

    Raises:
        TemplateBroken: a part doesn't compile.
    """

    def __init__(
        self, subject: str, text: str | None = None, html: str | None = None, *, escape: bool
    ) -> None:
        plain = Environment(escape=False)
        self._globals = dict(plain.globals)
        self._parts: dict[str, Template] = {}
        used, needed, constants = set[str](), set[str](), set[str]()
        for part, source in zip(PARTS, (subject, text, html), strict=True):
            if source is not None:
                environment = Environment(escape=True) if escape and part == "html" else plain
                tree = _parsed(environment, part, source)
                code = _compiled(environment, part, tree)
                self._parts[part] = Template.from_code(environment, code, environment.make_globals(None))
                constants |= set(_texts(code))
                names = find_undeclared_variables(tree)
                used |= names
                needed |= names & set(_needed(tree))
        self.placeholders: Final = frozenset(used)
        """Names that the template looks for in an entry's data."""
        self.required: Final = frozenset(needed)
        """Those of them without which it surely can't be rendered: they stand under no condition."""
        self.parts: Final = tuple(self._parts)
        """Those of PARTS that it has."""
        self.constants: Final = frozenset(constants)
        """Texts of the template that may be pieces of what is rendered."""

    def render(self, data: Mapping[str, Any]) -> Rendered:
        """Return the parts with an entry's data in them.

        Raises:
            RenderingFailure: a placeholder has no data, an expression fails, or a bound is reached.
        """
        filled = {part: "".join(pieces) for part, pieces in self.pieces(data).items()}
        return Rendered(filled["subject"], filled.get("text"), filled.get("html"))

    def pieces(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return what `render` joins: the pieces of each part that there is. Raises RenderingFailure."""
        given = {**self._globals, **data, BUDGET: Budget()}
        return {part: _filled(part, template, given) for part, template in self._parts.items()}


def _parsed(environment: Environment, part: str, source: str) -> nodes.Template:
    try:
        return environment.parse(source)
    except TemplateSyntaxError as exc:
        raise TemplateBroken(part, exc.message or "", exc.lineno) from exc
    except RecursionError as exc:
        raise TemplateBroken(part, "it is nested too deep") from exc


def _compiled(environment: Environment, part: str, tree: nodes.Template) -> CodeType:
    try:
        return environment.compile(bounded_tree(tree))
    except TemplateSyntaxError as exc:
        raise TemplateBroken(part, exc.message or "", exc.lineno) from exc
    except (RecursionError, SyntaxError, MemoryError) as exc:  # Python's own, of what Jinja2 makes
        raise TemplateBroken(part, f"it is nested too deep ({type(exc).__name__})") from exc


def _texts(code: CodeType) -> Iterator[str]:
    """Yield the texts in compiled code: the template's own are among them."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)


def _filled(part: str, template: Template, data: dict[str, Any]) -> list[str]:
    pieces: list[str] = []
    size = 0
    try:
        # All parts share the data, which are never copied: what a template sets stays in its own context.
        context = Context(template.environment, data, None, template.blocks)
        for piece in template.root_render_func(context):
            size += len(piece)
            if size > MOST:
                sized(size, MOST)
            pieces.append(piece)
    except Exception as exc:  # a template is a program, and may raise anything
        raise RenderingFailure(part, _reason(exc)) from exc
    return pieces


def _reason(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "its macros call each other without an end"
    name, text = type(exc).__name__, str(exc)
    known = name in ("UndefinedError", "SecurityError", "Overrun")
    return text if known else f"{name}: {text}"


def _needed(node: nodes.Node) -> Iterator[str]:
    """Yield the names that are looked up in any case when this part of a template is rendered."""
    if isinstance(node, nodes.Name):
        if node.ctx == "load":
            yield node.name
        return
    for child in _unconditional(node):
        yield from _needed(child)


def _unconditional(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield those of a node's parts that are looked at whatever the data are."""
    if isinstance(node, nodes.If | nodes.CondExpr):
        yield node.test
    elif isinstance(node, nodes.For):
        yield node.iter
    elif isinstance(node, nodes.And | nodes.Or):
        yield node.left
    elif isinstance(node, nodes.Compare):
        # Of a chain, what stands behind the first comparison may never be looked at.
        yield node.expr
        yield node.ops[0].expr
    elif isinstance(node, nodes.CallBlock):
        yield node.call
    elif isinstance(node, nodes.Macro):
        return
    elif _asks(node):
        yield from (child for child in node.iter_child_nodes(exclude=("node",)))
    else:
        yield from node.iter_child_nodes()


def _asks(node: nodes.Node) -> bool:
    """Tell whether a node asks for a name that need not be there."""
    if isinstance(node, nodes.Test):
        return node.name in ("defined", "undefined")
    return isinstance(node, nodes.Filter) and node.name in ("default", "d")
