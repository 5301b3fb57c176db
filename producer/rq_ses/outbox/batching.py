"""Cut a stream into batches that are bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows how many bytes it takes."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)
Reply = TypeVar("Reply")


def batches(items: Iterable[Item], *, most: int, most_bytes: int) -> Iterator[list[Item]]:
    """Yield lists of at most `most` items and `most_bytes` bytes; a larger item has a list of its own.

    A list of `most` is yielded before the next item is asked for.
    """
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + item.size > most_bytes:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
        if len(batch) == most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def in_turn(
    call: Callable[[list[Item]], Reply], made: Iterable[list[Item]], *, full: int
) -> Iterator[tuple[list[Item], Reply]]:
    """Yield each batch with the reply of `call`, which has one at a time, in order.

    While one of `full` items is in a thread of `call`, the next is made in the caller's; none is called
    before the one before it was yielded. What `call` raises is raised in that batch's turn.
    """
    waiting: tuple[list[Item], Future[Reply]] | None = None
    with ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        try:
            for batch in made:
                if waiting:
                    ended, waiting = waiting, None
                    yield ended[0], ended[1].result()
                if len(batch) < full:
                    yield batch, call(batch)
                else:
                    # Most calls have one small batch: these shall not pay for a pool.
                    pool = pool or stack.enter_context(ThreadPoolExecutor(1, "rq-ses-batch"))
                    waiting = batch, pool.submit(call, batch)
        finally:
            # Also where the next batch can't be made: then it matters more what became of this one.
            if waiting:
                yield waiting[0], waiting[1].result()
