"""Settings that are valid only as a group: all of it from one place, and no part without its whole.

A session token that was left over in a shell would else be joined to the key of a file, and AWS refuse both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from rq_ses.settings import declared
from rq_ses.settings.config import place_of

OPTIONS: Final = "an option"
ENVIRONMENT: Final = "the environment"


@dataclass(frozen=True, slots=True)
class Together:
    """One such group: without the `needed` ones the `others` mean nothing."""

    needed: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.needed, *self.others)


@dataclass(slots=True)
class Judgement:
    """What becomes of the parts of all groups, by field."""

    places: dict[str, str] = field(default_factory=dict)
    """The only place from which a field is taken, "" if it is to stay unset."""
    unused: tuple[str, ...] = ()
    """What was set and is not taken, as whoever set it knows it."""
    problems: dict[str, str] = field(default_factory=dict)
    """Parts without their wholes."""


def judge(
    kind: type[BaseModel],
    groups: Iterable[Together],
    given: Mapping[str, Collection[str]],
    *,
    unreadable: Collection[str],
    alike: Collection[str] = (),
) -> Judgement:
    """Return from which place each group is taken.

    Args:
        kind: the class of settings.
        groups: of that class.
        given: the fields that each place gives, that which counts first first: OPTIONS, ENVIRONMENT, a file.
        unreadable: fields whose values are known to be wrong.
        alike: fields to which the file gives the environment's value, as by ${env.NAME}: none is left over.
    """
    result = Judgement()
    for group in groups:
        parts = {place: there for place, names in given.items() if (there := _in(group.names, names))}
        chosen = next((place for place, there in parts.items() if _in(group.needed, there)), None)
        if chosen is None:
            for place in parts:
                result.problems |= _part(kind, group, parts, place)
        else:
            result.problems |= _part(kind, group, parts, chosen)
            result.unused += tuple(
                named(kind, place, name)
                for place, there in parts.items()
                if place != chosen
                for name in there
                if name not in alike
            )
        whole = chosen is not None and not _missing(group, parts[chosen])
        usable = whole and not _in(group.names, unreadable)
        for name in group.names:
            result.places[name] = str(chosen) if usable and name in parts[str(chosen)] else ""
    return result


def named(kind: Any, place: str, name: str) -> str:
    """Return what a field is called where it was given."""
    return declared.title(kind, name) if place in (OPTIONS, ENVIRONMENT) else f"{place_of(name)} of {place}"


def _part(
    kind: type[BaseModel], group: Together, parts: Mapping[str, list[str]], place: str
) -> dict[str, str]:
    """Return the problem if a place gives only a part of what is needed, by its field."""
    missing = _missing(group, parts[place])
    if not missing:
        return {}
    subject = parts[place][0]
    wanted = " and ".join(named(kind, place, name) for name in missing)
    are, them = ("are", "them, too,") if len(missing) > 1 else ("is", "both")
    text = f"is set, but {wanted} {are} not: set {them} in one place, or remove it"
    elsewhere = [other for other, there in parts.items() if other != place and not _missing(group, there)]
    if elsewhere:
        text += f" and use those of {elsewhere[0]}"
    elif parts.keys() - {OPTIONS, ENVIRONMENT}:
        text += "; a file takes a variable by ${env.NAME}"
    return {subject: f"{named(kind, place, subject)}: {text}"}


def _missing(group: Together, there: Collection[str]) -> list[str]:
    return [name for name in group.needed if name not in there]


def _in(names: Iterable[str], there: Collection[str]) -> list[str]:
    return [name for name in names if name in there]
