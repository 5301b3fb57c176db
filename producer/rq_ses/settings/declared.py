"""Which settings there are, as their classes declare them: what isn't one is refused, never ignored.

The classes stand in the entry points "rq_ses.settings", so that a producer knows the names of a worker's
settings without importing the worker for it: only a name that isn't its own makes it look.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from pydantic_settings import BaseSettings

from rq_ses.errors import SettingsError
from rq_ses.settings.setting import PREFIX, Setting, variables
from rq_ses.text.plaintext import one_line

_GROUP: Final = "rq_ses.settings"
_SERVICE: Final = "_SERVICE_HOST"


def describe(kind: type[BaseSettings]) -> tuple[Setting, ...]:
    """Return all settings of a class, in order."""
    return tuple(Setting.of(name, field) for name, field in kind.model_fields.items())


def title(kind: type[BaseSettings], name: str) -> str:
    """Return the variable by which somebody set a field, or would; the name of what is no field."""
    found = kind.model_fields.get(name)
    if not found:
        return name
    present = {variable.upper() for variable, value in os.environ.items() if value}
    its = variables(name, found)
    return next((variable for variable in its if variable in present), its[0])


def field_of(kind: type[BaseSettings], key: str) -> str:
    """Return the field that a validation error or the environment names by one of its variables."""
    found = (
        name for name, field in kind.model_fields.items() if key == name or key in variables(name, field)
    )
    return next(found, key)


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise SettingsError with a line for each RQ_SES_ variable that is no setting; empty ones are unset.

    In a program that was frozen into one file, without entry points, nothing can be told.
    """
    given = {name for name, value in environment.items() if value and name.upper().startswith(PREFIX)}
    left = {name.upper(): name for name in given - _service_links(given)}
    known: list[str] = []
    for declared in _declared():
        if not left:
            return
        known += _variables_of(declared)
        left = {upper: name for upper, name in left.items() if upper not in known}
    if left and known:
        raise SettingsError([unknown(name, meant(name, known)) for name in sorted(left.values())])


def fields() -> frozenset[str]:
    """Return the names of all settings, whoever reads them; none where there are no entry points."""
    return frozenset(
        name
        for declared in _declared()
        if isinstance(declared, type) and issubclass(declared, BaseSettings)
        for name in declared.model_fields
    )


def unknown(name: str, instead: str) -> str:
    """Return the words for a name that is no setting's."""
    remedy = (
        f"did you mean {instead}?" if instead else "remove it (docs/settings.md lists all that there are)"
    )
    return f"{one_line(name, 100)} is not a setting: {remedy}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return which of the known names somebody may have meant, "" if none is like it."""
    candidates = {_bare(one): one for one in reversed(list(known))}
    near = get_close_matches(_bare(name), candidates, 1)
    return candidates[near[0]] if near else ""


def _bare(name: str) -> str:
    return name.upper().removeprefix(PREFIX).removeprefix("AWS_").replace("_", "")


def _service_links(given: Iterable[str]) -> set[str]:
    """Return the variables by which Kubernetes tells each container of a Service that is named rq-ses-…"""
    names = set(given)
    services = tuple(name.removesuffix(_SERVICE) for name in names if name.endswith(_SERVICE))
    beginnings = tuple(f"{service}_{kind}" for service in services for kind in ("SERVICE_", "PORT"))
    return {name for name in names if beginnings and name.startswith(beginnings)}


def _declared() -> Iterator[Any]:
    """Yield what declares settings, what is imported already first."""

    def is_elsewhere(point: EntryPoint) -> bool:
        return point.module not in sys.modules

    for point in sorted(entry_points(group=_GROUP), key=is_elsewhere):
        yield point.load()


def _variables_of(declared: Any) -> Iterator[str]:
    if isinstance(declared, type) and issubclass(declared, BaseSettings):
        for setting in describe(declared):
            yield from setting.variables
        return
    # A command whose options are its settings.
    for parameter in declared.params:
        named = parameter.envvar or ()
        yield from (named,) if isinstance(named, str) else named
