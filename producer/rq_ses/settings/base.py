"""What all classes of settings share: how they are read, and where their values come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from rq_ses.settings.declared import field_of
from rq_ses.settings.setting import variables
from rq_ses.settings.together import Together


class Settings(BaseModel):
    """Settings that stand in the environment under RQ_SES_ and their names in capitals, and never change.

    Built directly, they are read from the environment alone; `rq_ses.settings.loading` reads the rest.
    Raises pydantic.ValidationError.
    """

    model_config = ConfigDict(
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        # Groups of settings that others are made of are never built themselves.
        defer_build=True,
    )

    readers: ClassVar[str] = ""
    """What reads exactly these, for the tables: commands of rq-ses in backticks."""

    together: ClassVar[tuple[Together, ...]] = ()
    """Those that are taken from one place, or not at all."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _unused: tuple[str, ...] = PrivateAttr(default=())

    def __init__(self, **values: Any) -> None:
        kind = type(self)
        given = {field_of(kind, name) for name in values}
        found = in_environment(kind, os.environ)
        # What came by a variable of its own goes by that name: validators tell by it that it did.
        named = {_key(kind, name): value for name, value in found.items() if name not in given}
        super().__init__(**named, **values)

    def origin(self, name: str) -> str:
        """Return where a setting comes from: "the environment", "the file PATH"; "" if that isn't known."""
        return self._origins.get(name, "")

    @property
    def unused(self) -> tuple[str, ...]:
        """What was set and isn't used, since the group it belongs to comes from another place."""
        return self._unused


def in_environment(kind: type[Settings], environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment gives a class, by field: names in any case, and what is empty is unset."""
    present = {variable.upper(): value for variable, value in environment.items() if value}
    found = {}
    for name, field in kind.model_fields.items():
        value = next((present[one] for one in variables(name, field) if one in present), None)
        if value is not None:
            found[name] = value
    return found


def _key(kind: type[Settings], name: str) -> str:
    field = kind.model_fields[name]
    return variables(name, field)[0] if field.validation_alias else name
