"""Cut a stream into batches that are bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

BATCH_MESSAGES: Final = 500
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bounds of what one step of enqueueing writes."""


class Sized(Protocol):
    """Anything that knows how many bytes it takes."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


class Cut(Generic[Item]):
    """Makes lists of at most `most` items and `most_bytes` bytes; a larger item has a list of its own."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._batch: list[Item] = []
        self._size = 0

    def add(self, item: Item) -> Iterator[list[Item]]:
        """Take the next item, and yield the lists that it makes full; a list of `most` at once."""
        size = item.size
        if self._batch and self._size + size > self._most_bytes:
            yield self._taken()
        self._batch.append(item)
        self._size += size
        if len(self._batch) == self._most:
            yield self._taken()

    def rest(self) -> Iterator[list[Item]]:
        """Yield the last list, unless it is empty."""
        if self._batch:
            yield self._taken()

    def _taken(self) -> list[Item]:
        batch, self._batch, self._size = self._batch, [], 0
        return batch


def batches(items: Iterable[Item], *, most: int, most_bytes: int) -> Iterator[list[Item]]:
    """Yield lists of items as Cut makes them; a list of `most` before the next item is asked for."""
    cut: Cut[Item] = Cut(most=most, most_bytes=most_bytes)
    for item in items:
        yield from cut.add(item)
    yield from cut.rest()
