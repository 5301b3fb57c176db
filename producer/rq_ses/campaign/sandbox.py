"""Jinja2 in a sandbox: no template reaches out of its data, runs on for ever, or fills the memory.

A mistake in a template, or in the data of one entry, then costs that entry and not a worker. Its bounds: what
a template may name (Jinja2's own sandbox, and nothing is loaded from anywhere), how many steps its loops and
macros make together, and how long a text may become, whatever operator or filter makes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, Final

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateAssertionError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rq_ses.message.limits import MESSAGE_SIZE

STEPS: Final = 100_000
"""Turns of loops, and calls of macros, of one rendering."""

SECONDS: Final = 5.0
"""Of CPU that one rendering may take; looked at with each step."""

MOST: Final = MESSAGE_SIZE.most
"""Characters of a text that a template makes: no mail may have more bytes."""

WIDTH: Final = 1000
"""The most of a width, an indent, a size of parts or a precision; and of bits in a number."""

BUDGET: Final = " budget"
"""Where a rendering has its Budget: no placeholder can have this name."""

_TURNS: Final = " turns"
_CALLED: Final = " called"
_BOUNDED: Final = " bounded"
"""Filters that `bounded_tree` puts in: no template can name them."""

_WIDE: Final = re.compile(r"\d{4,}|\*|\{[^{}]*\{")
"""In a format: a width of more than three digits, or one that the data gives."""

_WIDE_METHODS: Final = frozenset(
    {"center", "expandtabs", "join", "ljust", "replace", "rjust", "translate", "zfill"}
)
"""Methods of texts that can make long ones of short ones. The filters of these names are bounded."""

_NUMBERED: Final = ("batch", "center", "indent", "round", "slice", "tojson", "wordwrap")
"""Filters whose numbers say how much they make."""

_FOREIGN: Final = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
}


class Overrun(Exception):
    """Raised when a template goes beyond its bounds; the text says which."""


class Budget:
    """What is left of one rendering."""

    __slots__ = ("_ends", "_steps")

    def __init__(self) -> None:
        self._steps = STEPS
        self._ends = 0.0

    def step(self) -> None:
        """Take one step. Raises Overrun if it was one too many."""
        self._steps -= 1
        if self._steps < 0:
            raise Overrun(f"its loops and macros take more than {STEPS:,} steps")
        now = time.thread_time()
        self._ends = self._ends or now + SECONDS
        if now > self._ends:
            raise Overrun(f"it takes more than {SECONDS:.0f} s")


def sized(size: int, most: int = MOST) -> None:
    """Check the length of what is about to be made. Raises Overrun."""
    if size > most:
        raise Overrun(f"it makes a text, or a list, of {size:,}: {most:,} at most")


class Environment(ImmutableSandboxedEnvironment):
    """Compiles templates; `escape` makes markup of no value, unless it is `|safe`."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, escape: bool) -> None:
        super().__init__(
            autoescape=escape, undefined=StrictUndefined, keep_trailing_newline=True, cache_size=0
        )
        self.globals.pop("lipsum")
        self.filters.update({name: _numbered(FILTERS[name]) for name in _NUMBERED})
        self.filters.update(join=_join, replace=_replace, format=_format)
        self.filters.update({_TURNS: _turns, _CALLED: _called, _BOUNDED: _bounded})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do what makes a long text, or a long number, of short ones, within bounds. Raises Overrun."""
        if operator == "%" and isinstance(left, str):
            _narrow(left)
        elif operator == "+" and isinstance(left, str | list | tuple):
            sized(len(left) + len(right))
        elif operator == "*":
            for one, times in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple) and isinstance(times, int):
                    sized(len(one) * times)
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            sized(
                left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length(),
                WIDTH,
            )
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Tell whether a template may use an attribute of a value."""
        if isinstance(obj, str) and attr in _WIDE_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return a text's `format` within bounds, None for anything else."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _narrow(value.__self__)
        return wrapped


def bounded_tree(tree: nodes.Template) -> nodes.Template:
    """Return a template whose loops and macros count their steps, and whose joined texts are measured.

    Raises:
        TemplateAssertionError: it loads another template, or a loop calls itself.
    """
    for kind, word in _FOREIGN.items():
        for node in tree.find_all(kind):
            raise TemplateAssertionError(
                f"{{% {word} %}} can't be used: a template is whole by itself", node.lineno
            )
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise TemplateAssertionError("a recursive loop can't be used: call a macro", loop.lineno)
        loop.iter = _through(_TURNS, loop.iter)
    macros: Iterable[Any] = tree.find_all((nodes.Macro, nodes.CallBlock))
    for macro in macros:
        macro.body.insert(0, nodes.Output([_through(_CALLED, nodes.Const(""))]))
    for parent in list(tree.find_all(nodes.Node)):
        _measure(parent)
    return tree


def _measure(parent: nodes.Node) -> None:
    """Let each `~` among a node's own parts be measured."""
    if isinstance(parent, nodes.Filter) and parent.name == _BOUNDED:
        return
    for name, value in parent.iter_fields():
        if isinstance(value, nodes.Concat):
            setattr(parent, name, _through(_BOUNDED, value))
        elif isinstance(value, list):
            value[:] = [_through(_BOUNDED, one) if isinstance(one, nodes.Concat) else one for one in value]


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@pass_context
def _turns(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    step = context[BUDGET].step
    for item in items:
        step()
        yield item


@pass_context
def _called(context: Context, text: str) -> str:
    context[BUDGET].step()
    return text


def _bounded(text: str) -> str:
    sized(len(text))
    return text


def _narrow(text: str) -> None:
    if _WIDE.search(text):
        raise SecurityError(f"a format may have widths below {WIDTH}, and of its own")


def _numbered(filtered: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter whose numbers are bounded."""
    # Before them stands what is filtered, and with many filters something of Jinja2's.
    first = 2 if hasattr(filtered, "jinja_pass_arg") else 1

    @wraps(filtered)
    def bounded(*args: Any, **options: Any) -> Any:
        for number in (*args[first:], *options.values()):
            if isinstance(number, int):
                sized(abs(number), WIDTH)
        return filtered(*args, **options)

    return bounded


_sandboxed_join: Final[Callable[..., Any]] = FILTERS["join"]
_sandboxed_replace: Final[Callable[..., Any]] = FILTERS["replace"]
_sandboxed_format: Final[Callable[..., Any]] = FILTERS["format"]


@wraps(_sandboxed_join)
def _join(eval_ctx: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> Any:
    items = list(value)
    longest = max((len(item) for item in items if isinstance(item, str)), default=0)
    sized(len(items) * (len(d) + longest))
    return _sandboxed_join(eval_ctx, items, d, attribute)


@wraps(_sandboxed_replace)
def _replace(eval_ctx: Any, s: str, old: str, new: str, count: int | None = None) -> Any:
    sized(len(s) + str(s).count(old) * len(new))
    return _sandboxed_replace(eval_ctx, s, old, new, count)


@wraps(_sandboxed_format)
def _format(value: str, *args: Any, **options: Any) -> str:
    _narrow(value)
    formatted: str = _sandboxed_format(value, *args, **options)
    return formatted
