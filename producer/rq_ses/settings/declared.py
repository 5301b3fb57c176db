"""Which settings there are, as their classes declare them: what isn't one is refused, never ignored.

The classes stand in the entry points "rq_ses.settings", so that a producer knows the names of a worker's
settings without importing the worker for it: only a name that isn't its own makes it look.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from pydantic import BaseModel

from rq_ses.settings.setting import PREFIX, Setting, variables
from rq_ses.text.spelling import close_matches

_GROUP: Final = "rq_ses.settings"


def describe(kind: type[BaseModel]) -> tuple[Setting, ...]:
    """Return all settings of a class, in order."""
    return tuple(Setting.of(name, field) for name, field in kind.model_fields.items())


def title(kind: type[BaseModel], name: str) -> str:
    """Return the variable by which somebody set a field, or would; the name of what is no field."""
    found = kind.model_fields.get(name)
    if not found:
        return name
    present = {variable.upper() for variable, value in os.environ.items() if value}
    its = variables(name, found)
    return next((variable for variable in its if variable in present), its[0])


def field_of(kind: type[BaseModel], key: str) -> str:
    """Return the field that a validation error or the environment names by one of its variables."""
    found = (
        name for name, field in kind.model_fields.items() if key == name or key in variables(name, field)
    )
    return next(found, key)


def all_variables() -> list[str]:
    """Return the variables of all settings, whoever reads them; none where there are no entry points."""
    return [variable for declared in _declared() for variable in _variables_of(declared)]


def fields() -> frozenset[str]:
    """Return the names of all settings, whoever reads them; none where there are no entry points."""
    return frozenset(
        name
        for declared in _declared()
        if isinstance(declared, type) and issubclass(declared, BaseModel)
        for name in declared.model_fields
    )


def meant(name: str, known: Iterable[str]) -> str:
    """Return which of the known names somebody may have meant, "" if none is like it."""
    candidates = {_bare(one): one for one in reversed(list(known))}
    near = close_matches(_bare(name), candidates, 1)
    return candidates[near[0]] if near else ""


def _bare(name: str) -> str:
    return name.upper().removeprefix(PREFIX).removeprefix("AWS_").replace("_", "")


def _declared() -> Iterator[Any]:
    """Yield what declares settings, what is imported already first."""

    def is_elsewhere(point: EntryPoint) -> bool:
        return point.module not in sys.modules

    for point in sorted(entry_points(group=_GROUP), key=is_elsewhere):
        yield point.load()


def _variables_of(declared: Any) -> Iterator[str]:
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        for setting in describe(declared):
            yield from setting.variables
        return
    # A command whose options are its settings.
    for parameter in declared.params:
        named = parameter.envvar or ()
        yield from (named,) if isinstance(named, str) else named
