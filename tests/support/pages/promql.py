"""The series that a query asks for, as far as our queries are written: NAME{LABEL="…"} and by (LABEL)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SELECTOR: Final = re.compile(r"\b(?P<name>rq_ses_\w+|up)\b(?:\{(?P<labels>[^}]*)\})?")
_MATCHER: Final = re.compile(r'(?P<label>\w+)\s*(?P<kind>=~|!~|!=|=)\s*"(?P<value>[^"]*)"')
_GROUPING: Final = re.compile(r"\b(?:by|on|group_left|ignoring)\s*\((?P<labels>[^)]*)\)")


@dataclass(frozen=True)
class Selector:
    """One metric's name and its matchers as (label, kind, value)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(query: str) -> list[Selector]:
    """Return what a query reads."""
    grouped = _GROUPING.sub("", query)
    return [
        Selector(found["name"], tuple(_MATCHER.findall(found["labels"] or "")))
        for found in _SELECTOR.finditer(grouped)
    ]


def grouping_labels(query: str) -> set[str]:
    """Return the labels that a query groups or joins by."""
    return {
        label.strip() for found in _GROUPING.finditer(query) for label in found["labels"].split(",") if label
    }
