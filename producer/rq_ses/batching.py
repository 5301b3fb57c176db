"""Cut a stream into batches that are bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows how many bytes it takes."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


def batches(items: Iterable[Item], *, most: int, most_bytes: int) -> Iterator[list[Item]]:
    """Yield lists of at most `most` items and `most_bytes` bytes; a larger item has a list of its own."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) == most or size + item.size > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch
