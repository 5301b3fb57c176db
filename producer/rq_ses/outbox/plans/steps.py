"""The steps of an Outbox's plans, which its face makes: in a thread, or in an event loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rq_ses.outbox.entry import Entry
from rq_ses.plan import Plan

Words = list[str]
"""What enqueue.lua says of each entry."""


class Line(Protocol):
    """A face's way to one server; only the face itself looks into it."""


class Writer(Protocol):
    """What writes entries to one server."""

    line: Line

    def written(self, write: Write) -> Plan[tuple[Words, str]]:
        """Return a plan of Exchanges that writes entries once; its outcome is a Write's answer."""
        ...


class Exchange(NamedTuple):
    """Commands that go out at once, over one connection.

    The answer: the reply to each, which may be one of redis-py's ResponseErrors. What ends the exchange as a
    whole, a RedisError or OSError, is raised.
    """

    line: Line
    commands: tuple[tuple[Any, ...], ...]
    until: float = math.inf
    """The moment (time.monotonic()) at which it is given up, connecting included."""
    waits: bool = False
    """Whether the server may take its time: it waits for its disk, or for replicas."""


class Write(NamedTuple):
    """Entries that one server takes in one step.

    The answer: enqueue.lua's word for each, and why durability isn't confirmed ("" if it is, or nobody
    asked). Writes that aren't strict may become one, whose words and doubt are those of all.
    """

    writer: Writer
    entries: Sequence[Entry]
    strict: bool
    """A conflict refuses all of it."""
    waits: bool
    """Whether it waits until it is durable."""
    until: float

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Pause:
    """Some seconds in which nothing is done."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Begin:
    """A plan that is carried out beside this one; the answer is what Await takes."""

    plan: Plan[Any]


@dataclass(frozen=True, slots=True)
class Await:
    """The end of a plan that was begun; the answer is its outcome."""

    begun: Any


class Draw:
    """The next one of the caller's messages, or END."""


class DrawMany(NamedTuple):
    """The next ones, `most` at most; none when there are none left."""

    most: int


DRAW: Final = Draw()
END: Final = object()
