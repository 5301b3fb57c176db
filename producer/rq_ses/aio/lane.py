"""The exchanges of one event loop with one server: a few connections, which many tasks share.

No caller touches a connection. A task of the lane's own has it from the first byte of a command to the last
one of its answer; who is cancelled, or has waited long enough, takes nothing along but the wish for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as TimedOut

from rq_ses.outbox.batching import BATCH_BYTES, BATCH_MESSAGES
from rq_ses.outbox.plans.steps import Exchange, Write
from rq_ses.plan import carried_out
from rq_ses.server.refusal import read_refusal
from rq_ses.server.timeouts import not_answered

CONNECTIONS: Final = 4
"""That a lane has at most: what waits meanwhile goes out together with the next."""


class _Waiting:
    """A step that waits for its answer."""

    __slots__ = ("answer", "size", "step")

    def __init__(self, step: Write | Exchange) -> None:
        self.step = step
        self.size = step.size if isinstance(step, Write) else 0
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def joins(self, other: _Waiting) -> bool:
        """Tell whether it may be written in one step with another."""
        first, second = self.step, other.step
        if not isinstance(first, Write) or not isinstance(second, Write):
            return False
        return not first.strict and not second.strict and first.writer is second.writer

    def end(self, answer: Any) -> None:
        """Give the answer, or the error, to who still waits for it."""
        if self.answer.done():
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
            self.answer.exception()  # who waits may be cancelled at this very moment: that is no error unseen
        else:
            self.answer.set_result(answer)


class Lane:
    """Makes Writes and Exchanges with one client, in the event loop in which it is used.

    What comes in one turn of the loop, or while all connections are in use, is written in one step where it
    may be: that costs little more than one mail.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._free = min(CONNECTIONS, client.connection_pool.max_connections or CONNECTIONS)
        self._queue: deque[_Waiting] = deque()
        self._called = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def make(self, step: Write | Exchange) -> Any:
        """Return the answer to a step. Raises what ends the step, RedisError or OSError."""
        waiting = _Waiting(step)
        self._queue.append(waiting)
        self._call()
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(step.until - began, 0)):
                return await waiting.answer
        except TimeoutError as exc:
            raise _late(waiting, began) from exc

    async def close(self) -> None:
        """Wait for what was asked, and close the connections."""
        while self._queue or self._tasks:
            await (asyncio.wait(self._tasks) if self._tasks else asyncio.sleep(0))
        sentinels = getattr(self._client.connection_pool, "sentinel_manager", None)
        for client in (self._client, *(sentinels.sentinels if sentinels else ())):
            with suppress(RedisError, OSError):  # what can't be closed any more is no loss
                await client.aclose()

    def _call(self) -> None:
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin as many exchanges as connections are free."""
        self._called = False
        while self._free and (group := self._group()):
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._answer(group))
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, group))

    def _group(self) -> list[_Waiting]:
        """Take from the queue what goes out next; none if it is empty."""
        group: list[_Waiting] = []
        count = size = 0
        while self._queue:
            waiting = self._queue[0]
            if not waiting.answer.done():
                if group and not waiting.joins(group[0]):
                    break
                count += len(waiting.step.entries) if isinstance(waiting.step, Write) else 0
                size += waiting.size
                if group and (count > BATCH_MESSAGES or size > BATCH_BYTES):
                    break
                group.append(waiting)
            self._queue.popleft()
        return group

    def _ended(self, group: Sequence[_Waiting], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        for waiting in group:
            # It was cancelled, by who closes the loop: nobody shall wait for ever.
            waiting.answer.cancel()
        self._free += 1
        self._call()

    async def _answer(self, group: Sequence[_Waiting]) -> None:
        try:
            async with asyncio.timeout(max(waiting.step.until for waiting in group) - time.monotonic()):
                answers = await self._asked(group)
        except Exception as exc:  # noqa: BLE001 - it is raised where the answer is waited for
            if len(group) > 1 and isinstance(exc, ResponseError) and not read_refusal(exc).passes:
                # What is wrong with one must not keep the others.
                for waiting in group:
                    await self._answer([waiting])
                return
            answers = [exc] * len(group)
        for waiting, answer in zip(group, answers, strict=True):
            waiting.end(answer)

    async def _asked(self, group: Sequence[_Waiting]) -> list[Any]:
        first = group[0].step
        if isinstance(first, Exchange):
            return [await self._exchanged(first)]
        writes: list[Any] = [waiting.step for waiting in group]
        entries = [entry for write in writes for entry in write.entries]
        words, doubt = await carried_out(
            first.writer.written(first._replace(entries=entries)), self._exchanged
        )
        answers, at = [], 0
        for write in writes:
            answers.append((words[at : at + len(write.entries)], doubt))
            at += len(write.entries)
        return answers

    async def _exchanged(self, exchange: Exchange) -> list[Any]:
        if len(exchange.commands) == 1:
            try:
                return [await self._client.execute_command(*exchange.commands[0])]
            except ResponseError as exc:
                return [exc]
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in exchange.commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)


def _late(waiting: _Waiting, began: float) -> TimedOut:
    waited = time.monotonic() - began
    return not_answered(waiting.size, began) or TimedOut(f"no answer within {waited:.1f} s")
