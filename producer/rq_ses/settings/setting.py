"""One setting: declared where its class has it, and read from there by whatever shows it or takes it.

    lease: Real = setting(30.0, "Seconds until …", at_least=1, at_most=86_400, option="--lease S")

The name and the type are the class's. The options of commands, their help and the tables of README.md and
docs/settings.md are made of these declarations; who reads a setting follows from the classes that have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import AliasChoices, AllowInfNan, BeforeValidator, Field
from pydantic.fields import FieldInfo

PREFIX: Final = "RQ_SES_"

_OPTION: Final = "option"
_RANGE: Final = "range"
_LINK: Final = re.compile(r"\[([^]]+)\]\([^)]+\)")
_ASIDE: Final = re.compile(rf" \({_LINK.pattern}\)")
"""A link that is more to read, and no part of the sentence."""


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number: give a number")  # noqa: TRY004 - pydantic needs ValueError
    return value


# Python takes True and False for 1 and 0; nobody means them.
Count = Annotated[int, BeforeValidator(_number)]
"""A whole number."""

Real = Annotated[float, AllowInfNan(False), BeforeValidator(_number)]
"""A number that is finite."""


def setting(
    default: Any,
    meaning: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    variables: tuple[str, ...] = (),
    option: str = "",
    shown: bool = True,
) -> Any:
    """Declare a setting, as pydantic takes a field.

    Args:
        default: its value where nobody gives one; `...` if somebody must.
        meaning: a sentence with its unit, in Markdown; links lead from docs/, and help leaves them out.
        at_least: the least value.
        above: what the value must exceed.
        at_most: the greatest value.
        variables: in the environment, the one that counts first; by default RQ_SES_ and its name in capitals.
        option: flag and metavar of the option that some commands have for it, such as `--concurrency N`.
        shown: whether its value may stand in a repr and in problems: a URL may hold a password.
    """
    return Field(
        default,
        description=meaning,
        ge=at_least,
        gt=above,
        le=at_most,
        validation_alias=AliasChoices(*variables) if variables else None,
        repr=shown,
        json_schema_extra={_OPTION: option, _RANGE: _range(at_least, above, at_most)},
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as its class declares it."""

    name: str
    kind: Any
    """The type of its values, None left out."""
    variables: tuple[str, ...]
    """In the environment: the first that is set counts."""
    required: bool
    default: Any
    range: str
    """The numbers that it may be, such as "above 0 to 300"; "" if it is no number."""
    markdown: str
    option: str
    """Flag and metavar; "" if no command has an option for it."""

    @classmethod
    def of(cls, name: str, field: FieldInfo) -> Setting:
        """Return what a field of a class declares."""
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return cls(
            name,
            _without_none(field.annotation),
            variables(name, field),
            field.is_required(),
            None if field.is_required() else field.default,
            str(extra.get(_RANGE, "")),
            field.description or "",
            str(extra.get(_OPTION, "")),
        )

    @property
    def meaning(self) -> str:
        """What it is for, as plain text, its links left out."""
        return _LINK.sub(r"\1", _ASIDE.sub("", self.markdown)).replace("`", "")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; none if it may be others."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def default_text(self) -> str:
        """Its default as somebody would write it; "" if it has none."""
        if self.default is None:
            return ""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return f"{self.default:.10g}" if isinstance(self.default, float) else str(self.default)


def variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the environment variables of a field, the one that counts first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias) if alias else f"{PREFIX}{name.upper()}",)


def _without_none(annotation: Any) -> Any:
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(annotation) else annotation


def _range(at_least: float | None, above: float | None, at_most: float | None) -> str:
    bounds = {"from": at_least, "above": above, "to": at_most}
    return " ".join(f"{word} {bound:.10g}" for word, bound in bounds.items() if bound is not None)
