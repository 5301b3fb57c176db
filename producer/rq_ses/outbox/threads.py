"""Makes the steps of an Outbox's plans in the thread that calls it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.keys import Keys
from rq_ses.outbox.base import Waits
from rq_ses.outbox.plans.steps import DRAW, END, Await, Begin, DrawMany, Exchange, Pause, Write
from rq_ses.plan import Plan, carry_out
from rq_ses.server.location import Location
from rq_ses.server.timeouts import ending_at

Outcome = TypeVar("Outcome")


class ThreadLine:
    """The way to one server, over redis-py's clients for threads. Threads may share it, and so may forks."""

    def __init__(self, server: Location, keys: Keys | None, waits: Waits) -> None:
        self._server = server
        self._keys = keys
        self._waits = waits
        self._inherited: list[Redis] = []
        self._of_process = os.getpid(), self._opened()

    @property
    def client(self) -> Redis:
        """The client for usual commands, of the process that asks."""
        return self._clients()[0]

    def exchange(self, exchange: Exchange) -> list[Any]:
        """Return the replies to commands. Raises RedisError or OSError, which ends the exchange."""
        return _exchanged(self._clients()[exchange.waits], exchange)

    def _clients(self) -> tuple[Redis, ...]:
        """Return both clients of this process: for usual commands, and for those that wait for a disk."""
        pid, both = self._of_process
        if pid == os.getpid():
            return both
        # What was inherited may be locked for ever, by a thread that is in the other process alone: it is
        # neither used nor closed.
        for client in both:
            client.auto_close_connection_pool = False
        self._inherited += both
        self._of_process = os.getpid(), self._opened()
        return self._of_process[1]

    def _opened(self) -> tuple[Redis, ...]:
        return tuple(
            self._server.client(
                socket_timeout=self._waits.command,
                connect_timeout=self._waits.connect,
                beyond=seconds,
                keys=self._keys,
            )
            for seconds in (0, self._waits.confirming)
        )


class ClientLine:
    """The way to one server over a client that somebody else has made."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def exchange(self, exchange: Exchange) -> list[Any]:
        """Return the replies to commands. Raises RedisError or OSError, which ends the exchange."""
        return _exchanged(self._client, exchange)


def _exchanged(client: Redis, exchange: Exchange) -> list[Any]:
    if len(exchange.commands) == 1:
        try:
            return [client.execute_command(*exchange.commands[0])]
        except ResponseError as exc:
            return [exc]
    with client.pipeline(transaction=False) as pipeline:
        for command in exchange.commands:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)


class Threads:
    """Makes steps in the caller's thread; what is begun beside them, in a thread of its own.

    Args:
        messages: what is drawn.
    """

    def __init__(self, messages: Iterable[Any] = ()) -> None:
        self._messages = iter(messages)
        self._pool: ThreadPoolExecutor | None = None

    def carry_out(self, plan: Plan[Outcome]) -> Outcome:
        """Return the outcome of a plan; what it has begun has ended then."""
        try:
            return carry_out(plan, self._make)
        finally:
            if self._pool:
                self._pool.shutdown()

    def _make(self, step: Any) -> Any:
        if step is DRAW:
            return next(self._messages, END)
        match step:
            case Write():
                with ending_at(step.until):
                    return carry_out(step.writer.written(step), self._make)
            case Exchange():
                line: Any = step.line
                with ending_at(step.until):
                    return line.exchange(step)
            case Pause():
                return time.sleep(step.seconds)
            case Begin():
                self._pool = self._pool or ThreadPoolExecutor(1, "rq-ses-batch")
                return self._pool.submit(carry_out, step.plan, self._make)
            case Await():
                return step.begun.result()
            case DrawMany():
                return list(islice(self._messages, step.most))
            case _:
                raise AssertionError(f"a step of no kind: {step!r:.80}")
