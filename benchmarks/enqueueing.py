"""How fast a producer enqueues, in one process on a core of its own: ours and its peers in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from redis import Redis
from rq import Queue

from benchmarks.harness.mails import POOL, message, request
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Store, pinned
from benchmarks.stacks import CELERY, DRAMATIQ_BOTO3, enqueue_rq
from rq_ses import Message, Outbox
from rq_ses.aio import AsyncOutbox


def enqueue_rates(store: Store, repeats: int, scale: float) -> dict[str, list[float]]:
    """Return messages a second of each way of enqueueing; `scale` 1 takes about 10 s a repeat."""
    rates: dict[str, list[float]] = {name: [] for name, _, _ in _WAYS}
    with pinned({cores()[0]}):
        for _, way, _ in _WAYS:
            way(store.url, 20)(20)
        for _ in range(repeats):
            for name, way, count in _WAYS:
                store.connection.flushall()
                number = max(100, int(count * scale))
                enqueue = way(store.url, number)
                began = time.perf_counter()
                enqueue(number)
                rates[name].append(number / (time.perf_counter() - began))
    return rates


Enqueue = Callable[[int], None]
"""Enqueues so many; what a program would have at hand before is prepared already."""

Send = Callable[[Message], Awaitable[Any]]


def _send_many(url: str, count: int) -> Enqueue:
    outbox, messages = Outbox(url), [message(number) for number in range(count)]
    return lambda _: _nothing(outbox.send_many(messages))


def _build_and_send_many(url: str, _: int) -> Enqueue:
    outbox = Outbox(url)
    return lambda count: _nothing(outbox.send_many(message(number) for number in range(count)))


def _send(url: str, _: int) -> Enqueue:
    outbox, messages = Outbox(url), [message(number) for number in range(POOL)]

    def enqueue(count: int) -> None:
        for number in range(count):
            outbox.send(messages[number % POOL])

    return enqueue


def _tasks(count: int, sending: Callable[[], AbstractAsyncContextManager[Send]]) -> Enqueue:
    """Let TASKS tasks of an event loop send one mail after the other."""

    async def work(send: Send, number: int) -> None:
        for at in range(number, count, TASKS):
            await send(messages[at % POOL])

    async def run() -> None:
        async with sending() as send:
            await asyncio.gather(*(work(send, number) for number in range(TASKS)))

    messages = [message(number) for number in range(POOL)]
    return lambda _: asyncio.run(run())


def _async_send(url: str, count: int) -> Enqueue:
    @asynccontextmanager
    async def sending() -> AsyncIterator[Send]:
        async with AsyncOutbox(url) as outbox:
            yield outbox.send

    return _tasks(count, sending)


def _threaded_send(url: str, count: int) -> Enqueue:
    @asynccontextmanager
    async def sending() -> AsyncIterator[Send]:
        outbox = Outbox(url)
        yield lambda mail: asyncio.to_thread(outbox.send, mail)

    return _tasks(count, sending)


def _rq_many(url: str, count: int) -> Enqueue:
    queue = Queue("stock", connection=Redis.from_url(url))
    requests = [request(number) for number in range(count)]
    return lambda _: enqueue_rq(queue, requests)


def _rq(url: str, _: int) -> Enqueue:
    queue = Queue("stock", connection=Redis.from_url(url))

    def enqueue(count: int) -> None:
        for number in range(count):
            queue.enqueue("benchmarks.peers.rq_job.send", request(number))

    return enqueue


def _dramatiq(url: str, _: int) -> Enqueue:
    return lambda count: DRAMATIQ_BOTO3.fill(url, count)


def _celery(url: str, _: int) -> Enqueue:
    return lambda count: CELERY.fill(url, count)


def _nothing(_: object) -> None:
    return None


SEND_MANY, SEND, RQ_MANY, RQ_SINGLE = "rq-ses send_many", "rq-ses send", "RQ enqueue_many", "RQ enqueue"
TASKS: Final = 200
ASYNC_SEND = f"rq-ses AsyncOutbox.send, {TASKS} tasks"
THREADED_SEND = f"rq-ses asyncio.to_thread(Outbox.send), {TASKS} tasks"

_WAYS: tuple[tuple[str, Callable[[str, int], Enqueue], int], ...] = (
    (SEND_MANY, _send_many, 20_000),
    ("rq-ses send_many, Message(…) included", _build_and_send_many, 15_000),
    (RQ_MANY, _rq_many, 10_000),
    (SEND, _send, 3_000),
    (ASYNC_SEND, _async_send, 10_000),
    (THREADED_SEND, _threaded_send, 4_000),
    (RQ_SINGLE, _rq, 3_000),
    ("dramatiq enqueue", _dramatiq, 3_000),
    ("Celery send_task", _celery, 2_000),
)
"""Name, what makes the enqueuer, and messages at scale 1."""
