"""Placeholders as SES writes them: `{{name}}`, and `{{{name}}}` for a value that is HTML already.

An inline template knows nothing else: "Amazon SES supports only simple substitutions when you … provide the
full template content in the request" (SES v2 API, Template). So a text with more is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rq_ses.text.invalid import shown

_NAME: Final = r"[ \t]*([A-Za-z_][A-Za-z0-9_-]{0,63})[ \t]*"
# A backslash in front makes plain text of it in SES's language, which nobody means here.
_PIECE: Final = re.compile(r"\{\{\{" + _NAME + r"\}\}\}|\{\{" + _NAME + r"\}\}|\{\{")
_WORDS: Final = frozenset({"else", "this", "true", "false", "null", "undefined"})
"""Names that mean something else in SES's template language."""


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The names that a text has places for.

    Attributes:
        plain: those written `{{name}}`.
        raw: those written `{{{name}}}`.
    """

    plain: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.plain | self.raw


def find(text: str) -> Placeholders:
    """Return the placeholders of a text.

    Raises:
        ValueError: `{{` begins something else; with the line, what stands there, and the remedy.
    """
    plain: set[str] = set()
    raw: set[str] = set()
    for found in _PIECE.finditer(text):
        name = found[1] or found[2]
        if name is None or name in _WORDS or text.endswith("\\", 0, found.start()):
            line = text.count("\n", 0, found.start()) + 1
            raise ValueError(
                f"line {line}: {shown(text[found.start() : found.start() + 40])} is no placeholder: "
                "write {{name}} or {{{name}}} (letters, digits, _ and -); what has conditions or loops is a "
                'template stored in SES (name=…), or one of Jinja2 (engine="jinja2")'
            )
        (raw if found[1] else plain).add(name)
    return Placeholders(frozenset(plain), frozenset(raw))


def replaced(text: str, value: Callable[[str, bool], str]) -> str:
    """Return a text with something else in the place of each placeholder.

    `value` is called with the name, and whether it is raw.
    """

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return value(name, found[1] is not None) if name else found[0]

    return _PIECE.sub(one, text)
