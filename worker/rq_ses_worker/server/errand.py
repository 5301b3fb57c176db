"""Calls that go to the server together, with what their replies tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError

from rq_ses_worker.logging import events
from rq_ses_worker.server.scripts import Call, run_together

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Errand(Generic[T]):
    """What is to be done in one round trip, by itself or in that of a claim."""

    calls: Sequence[Call]
    read: Callable[[Sequence[Any]], T]
    """Takes each call's reply, or the RedisError it ended with; returns what they tell. Raises RedisError."""

    def run(self, connection: Any) -> T:
        """Do it by itself. Raises RedisError."""
        return self.read(run_together(connection, self.calls))


def single(call: Call, read: Callable[[Any], T]) -> Errand[T]:
    """Return an errand of one call, whose reply `read` takes apart."""

    def read_first(replies: Sequence[Any]) -> T:
        if isinstance(replies[0], Exception):
            raise replies[0]
        return read(replies[0])

    return Errand([call], read_first)


@dataclass(frozen=True, slots=True)
class Along(Generic[T]):
    """An errand that goes along with a claim, and is done before it."""

    errand: Errand[T]
    done: Callable[[T], None]
    """Told what it came to; not told of a failure, for it is then done by itself, where that is noticed."""

    def answered(self, replies: Sequence[Any]) -> None:
        """Take the replies to its calls; never raises, for the claim's own answer must not be lost."""
        try:
            self.done(self.errand.read(replies))
        except RedisError:
            pass  # whoever does it by itself meets it again
        except Exception:  # noqa: BLE001 - a defect
            events.ALONG_RAISED.log(log, trace=True)


def run_with(connection: Any, along: Sequence[Along[Any]], call: Call) -> Any:
    """Return a call's reply, once those to what goes along with it were taken. Raises RedisError."""
    if not along:
        return call.run()
    errands = [one.errand for one in along]
    *replies, reply = run_together(connection, [*calls_of(errands), call])
    for one, own in zip(along, shares(errands, replies), strict=True):
        one.answered(own)
    if isinstance(reply, Exception):
        raise reply
    return reply


def calls_of(errands: Sequence[Errand[Any]]) -> list[Call]:
    """Return the calls of some errands, in order."""
    return [call for errand in errands for call in errand.calls]


def shares(errands: Sequence[Errand[Any]], replies: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield each errand's own of the replies to the calls of all."""
    at = 0
    for errand in errands:
        yield replies[at : at + len(errand.calls)]
        at += len(errand.calls)
