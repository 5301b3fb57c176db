"""Load settings of a class: from options, else the environment, else a TOML file, else their defaults.

Nothing is read at import. Every bad setting is named at once, as whoever set it knows it, secrets left out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from rq_ses.errors import SettingsError
from rq_ses.settings import declared
from rq_ses.settings.base import Settings, in_environment
from rq_ses.settings.config import Config, read_config
from rq_ses.settings.environment import check_environment
from rq_ses.settings.setting import PREFIX, setting, variables
from rq_ses.settings.together import ENVIRONMENT, OPTIONS, Judgement, judge
from rq_ses.text.invalid import shown
from rq_ses.text.plaintext import one_line

CONFIG: Final = setting(
    None, "TOML file with settings ([its form](settings.md#the-file)).", option="--config FILE"
)
"""The setting that names the file: whatever the class, it counts."""

CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"

_NOT_SHOWN: Final = (SecretStr, SecretStr | None)
_LINE: Final = 400
"""Characters of a problem at most."""

_Settings = TypeVar("_Settings", bound=Settings)


def load_settings(
    kind: type[_Settings],
    overrides: Mapping[str, Any],
    *,
    path: str | None,
    whole_file: bool,
    more: Mapping[str, Any] | None = None,
) -> _Settings:
    """Return settings of a `kind`: overrides, else the environment, else the values of a file, else defaults.

    Args:
        kind: the class of settings.
        overrides: values by field; None stands for none.
        path: of the file; else RQ_SES_CONFIG names it, or there is none.
        whole_file: whether everything in it must be known.
        more: what else it says, by field, where not the whole of it is read.

    Raises:
        SettingsError: with a line for each problem, those of the file included.
    """
    check_environment(os.environ)
    given = _given(kind, overrides, path=path, whole_file=whole_file, more=more or {})
    groups = given.judged(kind)
    origins = given.origins() | groups.places
    problems = [*given.config.problems.items(), *groups.problems.items()]
    try:
        settings = kind(**given.values(origins))
    except ValidationError as exc:
        problems += _refused(kind, exc, given, origins)
    if problems:
        # Outside the except clause, so that it isn't chained: a ValidationError holds the secrets.
        raise SettingsError(_in_order(kind, problems))
    settings._origins = {name: place for name, place in origins.items() if place}
    settings._unused = groups.unused
    return settings


@dataclass(frozen=True, slots=True)
class _Given:
    """What each place gives, by field."""

    options: Mapping[str, Any]
    environment: Mapping[str, Any]
    file: str
    """Its path, "" if there is none."""
    config: Config

    @property
    def in_file(self) -> str:
        """What the file is called as a place."""
        return f"the file {self.file}"

    def places(self) -> dict[str, Collection[str]]:
        """Return the fields by place, the place that counts first first."""
        return {
            OPTIONS: self.options.keys(),
            ENVIRONMENT: self.environment.keys(),
            self.in_file: self.config.values.keys() | self.config.problems.keys(),
        }

    def origins(self) -> dict[str, str]:
        """Return the place that counts by field."""
        places = self.places()
        return {name: place for place in reversed(places) for name in places[place]}

    def judged(self, kind: type[Settings]) -> Judgement:
        """Return from which place each group of `kind` is taken."""
        file, environment = self.config.values, self.environment
        alike = {name for name in file.keys() & environment.keys() if file[name] == environment[name]}
        return judge(kind, kind.together, self.places(), unreadable=self.config.problems, alike=alike)

    def values(self, origins: Mapping[str, str]) -> dict[str, Any]:
        """Return what pydantic is to take: all but what it finds in the environment by itself."""
        file, options = self.config.values, self.options
        return {
            **{name: file[name] for name, place in origins.items() if place == self.in_file and name in file},
            **{name: options[name] for name, place in origins.items() if place == OPTIONS},
            # So that they aren't taken from the environment.
            **{name: None for name, place in origins.items() if not place},
        }


def _given(
    kind: type[Settings],
    overrides: Mapping[str, Any],
    *,
    path: str | None,
    whole_file: bool,
    more: Mapping[str, Any],
) -> _Given:
    file = path or os.environ.get(CONFIG_VARIABLE) or ""
    others = None if whole_file else declared.fields
    config = read_config(file, os.environ, kind.model_fields, others=others) if file else Config()
    config.values |= _but_none(more)
    return _Given(_but_none(overrides), in_environment(kind, os.environ), file, config)


def _but_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _refused(
    kind: type[Settings], exc: ValidationError, given: _Given, origins: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return what pydantic refuses, by field; what is missing since the file can't be read is left out."""
    unread = given.config.problems.keys()
    places = {OPTIONS: " (an option)", given.in_file: f" (in {given.file})"}
    problems = []
    for error in exc.errors(include_url=False):
        name = declared.field_of(kind, str(error["loc"][0]) if error["loc"] else "")
        if error["type"] == "missing" and not unread.isdisjoint((name, "config")):
            continue
        # An error of the class as a whole names its settings itself.
        title = f"{declared.title(kind, name)}: " if error["loc"] else ""
        problems.append(
            (name, f"{title}{_problem(kind, name, error)}{places.get(origins.get(name, ''), '')}")
        )
    return problems


def _in_order(kind: type[Settings], problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return the lines in the order of the class's fields, after those of no field."""
    order = {name: number for number, name in enumerate(kind.model_fields)}
    named = sorted(problems, key=lambda problem: order.get(problem[0], -1))
    return [one_line(line, _LINE) for _, line in named]


def _problem(kind: type[BaseModel], name: str, error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    field = kind.model_fields.get(name)
    if field is None:
        return "is not a setting: look for a misspelling"
    if error["type"] == "missing":
        others = "".join(f" or {variable}" for variable in variables(name, field)[1:])
        return f"is not set: set it{others}, or give it in the file that {CONFIG_VARIABLE} names"
    hidden = field.annotation in _NOT_SHOWN or not field.repr
    value = f"a value of type {type(error['input']).__name__}" if hidden else shown(error["input"])
    return f"{value} cannot be used: {error['msg'].replace('Input should be', 'it must be')}"
