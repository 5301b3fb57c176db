"""Both faces of an Outbox behind the same calls, so that one test asks both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, Final, TypeVar

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from rq_ses import Outbox
from rq_ses.aio import AsyncOutbox

Outcome = TypeVar("Outcome")

_FIRST: Final = threading.Lock()
"""Who holds it may make the loop: threads that ask `cache` at the same time would each get another."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return a loop that runs in a thread of its own, as long as the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def awaited(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Return what a coroutine returns in that loop."""
    with _FIRST:
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


class Awaited:
    """An AsyncOutbox whose calls wait for their ends; threads may share it.

    A client for threads that it is given stands for one of asyncio's to the same server.
    """

    def __init__(self, redis_url: Any = None, *args: Any, connection: Any = None, **terms: Any) -> None:
        given = connection if redis_url is None or connection is not None else redis_url
        if isinstance(given, Redis):
            options = given.connection_pool.connection_kwargs
            names = ("host", "port", "db", "username", "password", "decode_responses", "socket_timeout")
            given = AsyncRedis(**{name: options[name] for name in names if name in options})
        both = {"redis_url": redis_url, "connection": connection}
        both.update({name: given for name, value in both.items() if value is not None})
        self.outbox = AsyncOutbox(both["redis_url"], *args, connection=both["connection"], **terms)
        self.queue = self.outbox.queue

    def send(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.send(*args, **terms))

    def send_many(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.send_many(*args, **terms))

    def send_bulk(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.send_bulk(*args, **terms))

    def try_send_many(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.try_send_many(*args, **terms))

    def status(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.status(*args, **terms))

    def wait(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.wait(*args, **terms))

    def cancel(self, *args: Any, **terms: Any) -> Any:
        return awaited(self.outbox.cancel(*args, **terms))

    def server_time(self) -> float:
        return awaited(self.outbox.server_time())

    def close(self) -> None:
        awaited(self.outbox.aclose())


FACES: Final = {"threads": Outbox, "asyncio": Awaited}
