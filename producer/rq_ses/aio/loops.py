"""The way to one server in whichever event loop a call runs, and the steps of an AsyncOutbox's plans."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar

from rq_ses.aio.connection import ASYNCIO
from rq_ses.aio.lane import Lane
from rq_ses.keys import Keys
from rq_ses.outbox.base import Waits
from rq_ses.outbox.plans.steps import END, Await, Begin, DrawMany, Exchange, Pause, Write
from rq_ses.plan import Plan, carried_out
from rq_ses.server.location import Location

Outcome = TypeVar("Outcome")

_TURN: Final = 0.005
"""Seconds for which messages are drawn and made ready before the loop has its turn."""


class _Lanes:
    """Both lanes of an event loop: for usual commands, and for those that wait for a disk or replicas."""

    def __init__(self, usual: Lane, waiting: Lane) -> None:
        self._both = usual, waiting
        self._pid = os.getpid()
        self._end = self._until_the_loop_ends()

    @property
    def inherited(self) -> bool:
        """Whether they are those of the process that this one was forked from."""
        return self._pid != os.getpid()

    def of(self, step: Write | Exchange) -> Lane:
        """Return the one that makes a step."""
        return self._both[step.waits]

    async def open(self) -> None:
        """Let the loop close the connections when it ends: asyncio.run closes asynchronous generators."""
        await anext(self._end)

    async def close(self) -> None:
        """Close the connections once what is under way has ended; cancelled, it may be called again."""
        for lane in self._both:
            await lane.close()
        await self._end.aclose()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for lane in self._both:
                await lane.close()


class LoopLine:
    """The way to one server, over clients of redis.asyncio: in each event loop, others."""

    def __init__(self, server: Location, keys: Keys | None, waits: Waits) -> None:
        self._server = server
        self._keys = keys
        self._waits = waits
        self._lanes: dict[asyncio.AbstractEventLoop, _Lanes] = {}
        self._inherited: list[_Lanes] = []

    def client(self, beyond: float = 0) -> Any:
        """Return a client that waits so much longer for an answer than usual, and isn't connected yet."""
        return self._server.client(
            socket_timeout=self._waits.command,
            connect_timeout=self._waits.connect,
            beyond=beyond,
            keys=self._keys,
            clients=ASYNCIO,
        )

    async def make(self, step: Write | Exchange) -> Any:
        """Return the answer to a step. Raises what ends it."""
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop)
        if lanes is None or lanes.inherited:
            # What was inherited is kept, for to close it would be felt in the other process, too.
            self._inherited += [lanes] if lanes else []
            self._forget_closed_loops()
            both = (Lane(self.client(beyond)) for beyond in (0, self._waits.confirming))
            lanes = self._lanes[loop] = _Lanes(*both)
            await lanes.open()
        return await lanes.of(step).make(step)

    async def close(self) -> None:
        """Close the connections of the running loop; the next call opens others."""
        loop = asyncio.get_running_loop()
        lanes = self._lanes.pop(loop, None)
        if lanes and not lanes.inherited:
            try:
                await lanes.close()
            except BaseException:
                # It was cancelled while something was under way: the next one closes them, or the loop's end.
                self._lanes.setdefault(loop, lanes)
                raise

    def _forget_closed_loops(self) -> None:
        # No reference that is weak lets go of them: what they were used for knows its loop.
        for loop, lanes in list(self._lanes.items()):
            if loop.is_closed() and not lanes.inherited:
                self._lanes.pop(loop, None)


class Loop:
    """Makes steps in the running event loop; what is begun beside them, in a task of its own.

    Args:
        messages: what is drawn.
    """

    def __init__(self, messages: Any = ()) -> None:
        self._awaited = hasattr(type(messages), "__aiter__")
        self._messages: Any = aiter(messages) if self._awaited else iter(messages)
        self._turn = time.monotonic()
        self._begun: asyncio.Task[Any] | None = None

    async def carry_out(self, plan: Plan[Outcome]) -> Outcome:
        """Return the outcome of a plan; what it has begun has ended then, or been given up."""
        try:
            return await carried_out(plan, self._make)
        finally:
            if self._begun and self._begun.cancel():
                await asyncio.wait([self._begun])
                if not self._begun.cancelled():
                    self._begun.exception()

    async def _make(self, step: Any) -> Any:
        match step:
            case Write():
                line: Any = step.writer.line
                return await line.make(step)
            case Exchange():
                line = step.line
                return await line.make(step)
            case Pause():
                return await asyncio.sleep(step.seconds)
            case Begin():
                self._begun = asyncio.create_task(carried_out(step.plan, self._make))
                return self._begun
            case Await():
                return await step.begun
            case DrawMany():
                return await self._several(step.most)
            case _:
                return await self._next()

    async def _several(self, most: int) -> list[Any]:
        drawn: list[Any] = []
        while len(drawn) < most and (item := await self._next()) is not END:
            drawn.append(item)
        return drawn

    async def _next(self) -> Any:
        if time.monotonic() - self._turn > _TURN:
            await asyncio.sleep(0)
            self._turn = time.monotonic()
        if self._awaited:
            return await anext(self._messages, END)
        return next(self._messages, END)
