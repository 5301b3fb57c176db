"""Clients of redis.asyncio that connect, wait and follow a failover as ours for threads do."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from redis import asyncio as asyncio_kit
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as TimedOut

from rq_ses.plan import carried_out
from rq_ses.server.clusterowner import NODE_TIMEOUT, PASSING, Ask, Connect, OwnerOptions
from rq_ses.server.connection import BECAME_REPLICA, Clients
from rq_ses.server.hosts import Address
from rq_ses.server.timeouts import not_answered, not_sent, patience


class _Bounded:
    """A connection that waits longer for larger commands; rq_ses.aio.lane ends it with its call."""

    _asked = 0.0
    _size = 0
    _usual: float | None = None

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command. Raises redis.exceptions.TimeoutError, which names the size of a large one."""
        connection: Any = self
        if check_health:
            await connection.check_health()  # it writes a command of its own, and waits as that one may
        pieces = [command] if isinstance(command, bytes | str) else list(command)
        self._size, self._asked = sum(map(len, pieces)), time.monotonic()
        self._usual = self._usual or connection.socket_timeout
        if self._usual:
            # It holds for the answer, too: what is written here may still be on its way then.
            connection.socket_timeout = patience(self._usual, self._size)
        parent: Any = super()
        try:
            await parent.send_packed_command(pieces, check_health=False)
        except TimedOut as exc:
            if large := not_sent(self._size, self._asked):
                raise large from exc
            raise

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        try:
            return await parent.read_response(*args, **kwargs)
        except TimedOut as exc:
            if large := not_answered(self._size, self._asked):
                raise large from exc
            raise


class _Moving:
    """A connection that is given up when its server refuses writes, as redis-py's for Sentinels is."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = super()
        try:
            return await connection.read_response(*args, **kwargs)
        except ReadOnlyError as exc:
            await connection.disconnect(nowait=True)
            raise ConnectionLost(BECAME_REPLICA) from exc


class _OwnerConnection(OwnerOptions):
    """A connection that looks for the owner whenever it connects, and is given up when that is another."""

    async def _connect(self) -> None:
        connect: Any = super()._connect  # type: ignore[misc]

        async def make(step: Ask | Connect) -> Any:
            if isinstance(step, Ask):
                return await self._ask(step.node)
            self.host, self.port = step.owner
            return await connect()

        await carried_out(self._owner.connecting(), make)

    async def _ask(self, node: Address) -> Any:
        asking = self._to(node)
        try:
            async with asyncio.timeout(NODE_TIMEOUT):
                await asking.connect()
                await asking.send_command("CLUSTER", "SLOTS")
                return await asking.read_response()
        except TimeoutError as exc:
            raise TimedOut(f"no answer within {NODE_TIMEOUT:g} s") from exc
        finally:
            await asking.disconnect()

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = super()
        try:
            return await connection.read_response(*args, **kwargs)
        except PASSING as exc:
            if self._owner.leaves(exc):
                await connection.disconnect(nowait=True)
            raise self._owner.learn(exc, (self.host, self.port)) from exc


def _owned(kind: Any) -> Any:
    plain = type("Connection", (_Bounded, kind), {})
    return type("Connection", (_OwnerConnection, plain), {"_plain": plain})


ASYNCIO: Final[Clients[Redis]] = Clients(
    *(asyncio_kit, Pipeline, Retry, _Bounded, _Moving, _owned),
    elsewhere="no client of asyncio's: give a redis.asyncio.Redis, or use rq_ses.Outbox",
)
