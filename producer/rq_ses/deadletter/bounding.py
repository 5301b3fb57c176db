"""How a limit on mails meets dead letters, of which one may be several mails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class _Some(Protocol):
    @property
    def mails(self) -> int: ...


One = TypeVar("One", bound=_Some)


def within(letters: Iterable[One], most: int | None) -> list[One]:
    """Return those that are `most` mails together at most; one that is more than are left is passed over."""
    if most is None:
        return list(letters)
    kept = []
    for one in letters:
        if one.mails <= most:
            kept.append(one)
            most -= one.mails
    return kept
