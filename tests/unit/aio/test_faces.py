"""The loop of those who await in threads: one for all, or `close` would not reach what is open in another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from support import faces
from support.waiting import wait_for

THREADS = 4


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[asyncio.AbstractEventLoop]]:
    """The loops that are made, slowly: so long that another thread can begin one, too."""
    loops: list[asyncio.AbstractEventLoop] = []
    another = threading.Event()
    new_event_loop = asyncio.new_event_loop

    def slow() -> asyncio.AbstractEventLoop:
        loops.append(loop := new_event_loop())
        if len(loops) > 1:
            another.set()
        another.wait(0.2)
        return loop

    monkeypatch.setattr(asyncio, "new_event_loop", slow)
    monkeypatch.setattr(faces, "_loop", cache(faces._loop.__wrapped__))
    yield loops
    for loop in loops:
        loop.call_soon_threadsafe(loop.stop)
        wait_for(lambda loop=loop: not loop.is_running())
        loop.close()


def test_threads_that_await_first_at_the_same_time_share_a_loop(
    made: list[asyncio.AbstractEventLoop],
) -> None:
    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with ThreadPoolExecutor(THREADS) as threads:
        loops = list(threads.map(lambda _: faces.awaited(running()), range(THREADS)))
    [loop] = made
    assert loops == [loop] * THREADS
