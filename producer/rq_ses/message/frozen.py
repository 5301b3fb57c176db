"""What cannot change: models, and a mapping of names to values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict

FROZEN: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
"""Of the models a user builds: no other fields, and no errors that hold what was given."""

Model = TypeVar("Model", bound=BaseModel)


def changed(model: Model, update: Mapping[str, Any]) -> Model:
    """Return a copy, some fields with other values, which are judged as those of a new one.

    Raises pydantic.ValidationError.
    """
    given = {name: getattr(model, name) for name in model.model_fields_set}
    return model.model_validate({**given, **update})


class FrozenMapping(Mapping[str, str]):
    """Hold names and values in the order of the names, so that equal mappings are serialised alike."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = dict(sorted(pairs.items()))

    def __getitem__(self, name: str) -> str:
        return self._pairs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(tuple(self._pairs.items()))

    def __repr__(self) -> str:
        return repr(self._pairs)


EMPTY = FrozenMapping({})
