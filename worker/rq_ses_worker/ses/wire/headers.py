"""An answer's headers by their names in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LowerNames(dict[str, str]):
    """Headers that are so already, and all of them texts: nobody looks through them again."""


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by their names in lower case, without anything that isn't text."""
    if isinstance(headers, LowerNames):
        return headers
    items: list[tuple[Any, Any]] = list(headers.items())
    return {name.lower(): value for name, value in items if isinstance(name, str) and isinstance(value, str)}
