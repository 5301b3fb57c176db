"""A set of ids that takes eight bytes for each, whatever their length: a queue may hold millions."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Final

_PARTS: Final = 256


class IdSet:
    """Ids, kept as 64-bit hashes: one that wasn't added is found by chance, 2**-64 for each that was."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        self._sorted = True

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, name: bytes) -> None:
        """Add an id, which may be there already."""
        number = hash(name)
        self._parts[number % _PARTS].append(number)
        self._sorted = False

    def __contains__(self, name: bytes) -> bool:
        if not self._sorted:
            # Part by part, so that only one of them is ever there twice.
            self._parts = [array("q", sorted(part)) for part in self._parts]
            self._sorted = True
        number = hash(name)
        part = self._parts[number % _PARTS]
        place = bisect_left(part, number)
        return place < len(part) and part[place] == number
