"""Validation errors in words: one line for each problem, fit for a terminal or a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rq_ses.text.plaintext import one_line

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_PROBLEMS_LIMIT: Final = 50
_LINE_LIMIT: Final = 400
_CONFIDENTIAL: Final = frozenset({"text", "html", "content", "data"})
"""Fields whose value is never shown: bodies hold one-time links and passwords."""

_REMEDIES: Final = {
    "missing": "is missing: give it",
    "string_type": "is not a string: give text",
    "bytes_type": "is not bytes: give the bytes of a file, such as path.read_bytes()",
    "dict_type": "is not a mapping: give names and values",
    "mapping_type": "is not a mapping: give names and values",
    "model_type": "is not a mapping: give an object with the fields by name",
    "json_type": "is not JSON text: give one JSON object",
}


_INNER: Final = {
    "attachments": "Attachment",
    "list_management": "ListManagement",
    "configuration_overrides": "ConfigurationOverrides",
    "template": "Template",
}
"""Fields whose value is a model of its own."""


def explain(error: ValidationError) -> list[str]:
    """Return a line for each problem: the field, the value (bounded; never a body's) and the remedy.

    Values stand in it as they are, `Name <local@domain>` and all: escape a line before it stands in HTML.
    """
    problems = error.errors(include_url=False)
    lines = [
        one_line(f"{_place(p['loc'])}: {_problem(p, error.title)}", _LINE_LIMIT, markup=True)
        for p in problems[:_PROBLEMS_LIMIT]
    ]
    if len(problems) > _PROBLEMS_LIMIT:
        lines.append(f"and {len(problems) - _PROBLEMS_LIMIT} more problems")
    return lines


def shown(value: object, limit: int = 60) -> str:
    """Return a value as an error text quotes it: a bounded repr, or its type if it is no plain value."""
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= limit else f"{value[:limit]!r}…"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a huge number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"


def _place(location: Sequence[int | str]) -> str:
    parts = [part for part in location if part != "[key]"]
    if not parts:
        return "message"
    place = _name(parts[0])
    for part in parts[1:]:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            place += f".{part}" if part.isidentifier() and len(part) <= 60 else f"[{shown(part)}]"
    return place


def _name(part: int | str) -> str:
    return part if isinstance(part, str) and part.isidentifier() and len(part) <= 60 else shown(part)


def _problem(problem: ErrorDetails, model: str) -> str:
    kind = problem["type"]
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "json_invalid":
        return f"is not JSON: {problem['ctx']['error']}"
    value = _value(problem)
    if kind == "extra_forbidden":
        return f"is not a field: {_remedy(problem['loc'], model)}"
    if kind == "missing":
        return _REMEDIES[kind]
    if kind in ("string_type", "string_unicode") and isinstance(problem["input"], str | bytes | bytearray):
        return f"{value} is not Unicode text: remove lone surrogates, and decode bytes first"
    if kind in _REMEDIES:
        return f"{value} {_REMEDIES[kind]}"
    return f"{value} cannot be used: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _remedy(location: Sequence[int | str], model: str) -> str:
    from rq_ses.text import suggestion  # here, for most errors are of other kinds

    name = str(location[-1])
    if len(location) > 1:
        model = _INNER.get(str(location[0]), model)
    if model in suggestion.MODELS:
        return suggestion.remedy(name, model)
    return "remove it, or look for a misspelling"


def _value(problem: ErrorDetails) -> str:
    value: Any = problem["input"]
    if not problem["loc"] or not _CONFIDENTIAL.isdisjoint(problem["loc"]):
        return f"the {type(value).__name__} value" if not isinstance(value, Mapping) else "a mapping"
    return shown(value)
