"""A worker that is killed (or stopped) at a named point: `dying_worker.py POINT PASSAGE worker [OPTIONS]`.

It is the ordinary command, with a fuse laid at one method from outside. When the point is passed for the
n-th time, the process gets SIGKILL from itself: no handler, no `finally`, no flushing. At `…-raises` a
thread gets an exception in its stead.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rq_ses.cli import main
from rq_ses_worker.engine.dispatcher import Dispatcher
from rq_ses_worker.engine.heartbeat import Heartbeat
from rq_ses_worker.engine.limits import LimitsReader
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.settling.along import GoingAlong
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.outcome import Sent


class Fuse:
    """Kills this process at the n-th passage, whichever thread passes."""

    def __init__(self, passages: int) -> None:
        self._left = passages
        self._lock = threading.Lock()

    def passed(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0

    def burn(self) -> None:
        if self.passed():
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _overdue(settlements: Any) -> bool:
    return any(settlement.overdue for settlement in settlements)


def after_claim(fuse: Fuse) -> None:
    """Claimed in Redis, and nothing sent of it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        reply = call(*args, **kwargs)
        if reply[0]:
            fuse.burn()
        return reply

    _lay(Lifecycle, "claim", wrap)


def stops_after_claim(fuse: Fuse) -> None:
    """The same, but the process is stopped, and may be continued later."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        reply = call(*args, **kwargs)
        if reply[0] and fuse.passed():
            os.kill(os.getpid(), signal.SIGSTOP)
        return reply

    _lay(Lifecycle, "claim", wrap)


def after_answer(fuse: Fuse) -> None:
    """SES has answered; the settler doesn't know of it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outcome = call(*args, **kwargs)
        if isinstance(outcome, Sent | list):
            fuse.burn()
        return outcome

    _lay(SesClient, "send", wrap)
    _lay(SesClient, "send_bulk", wrap)


def before_settle(fuse: Fuse) -> None:
    """A batch is gathered; Redis doesn't know of it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        fuse.burn()
        return call(*args, **kwargs)

    _lay(Lifecycle, "settlement", wrap)


def during_settle(fuse: Fuse) -> None:
    """The settle call is under way: sent, or carried out, or answered."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        errand = call(*args, **kwargs)
        if not fuse.passed():
            return errand
        threading.Timer(random.random() * 0.002, die).start()
        return replace(errand, read=lambda _: die())

    _lay(Lifecycle, "settlement", wrap)


def after_settle(fuse: Fuse) -> None:
    """The server has written the batch; the process doesn't live to know it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        errand = call(*args, **kwargs)

        def read(replies: Any) -> Any:
            words = errand.read(replies)
            fuse.burn()
            return words

        return replace(errand, read=read)

    _lay(Lifecycle, "settlement", wrap)


def during_promote(fuse: Fuse) -> None:
    """The server has moved due mails; the process doesn't live to know it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        errand = call(*args, **kwargs)

        def read(replies: Any) -> Any:
            reply = errand.read(replies)
            if reply[0]:
                fuse.burn()
            return reply

        return replace(errand, read=read)

    _lay(Lifecycle, "promotion", wrap)


def during_reclaim(fuse: Fuse) -> None:
    """Leases that ran out were read, and nothing done about them."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        if found:
            fuse.burn()
        return found

    _lay(Lifecycle, "reclaim", wrap)


def after_reclaim(fuse: Fuse) -> None:
    """Executions of a dead worker were ended in Redis; the process doesn't live to know it."""

    def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        words = call(*args, **kwargs)
        if _overdue(args[1]):
            fuse.burn()
        return words

    _lay(Lifecycle, "settle", wrap)


class Unforeseen(BaseException):
    """What no part of the worker expects."""


def raises_in(owner: type, name: str) -> Callable[[Fuse], None]:
    """Raise the unforeseen in a method of one of the worker's threads."""

    def lay(fuse: Fuse) -> None:
        def wrap(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if fuse.passed():
                raise Unforeseen
            return call(*args, **kwargs)

        _lay(owner, name, wrap)

    return lay


def settler_raises(fuse: Fuse) -> None:
    """The same in the settler, to which all that would go along with a claim is left."""
    _lay(GoingAlong, "_along", lambda *_: [])
    raises_in(Settler, "_write")(fuse)


POINTS: dict[str, Callable[[Fuse], None]] = {
    "after-claim": after_claim,
    "stops-after-claim": stops_after_claim,
    "after-answer": after_answer,
    "before-settle": before_settle,
    "during-settle": during_settle,
    "after-settle": after_settle,
    "during-promote": during_promote,
    "during-reclaim": during_reclaim,
    "after-reclaim": after_reclaim,
    "settler-raises": settler_raises,
    "sender-raises": raises_in(Senders, "_end"),
    "heartbeat-raises": raises_in(Heartbeat, "_renew"),
    "quota-raises": raises_in(LimitsReader, "_ask_once"),
    "sweeper-raises": raises_in(Sweeper, "sweep"),
    "dispatcher-raises": raises_in(Dispatcher, "_step"),
}


def _lay(owner: type, name: str, wrap: Callable[..., Any]) -> None:
    call = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrap(call, self, *args, **kwargs)

    setattr(owner, name, method)


if __name__ == "__main__":
    point, passages, *arguments = sys.argv[1:]
    POINTS[point](Fuse(int(passages)))
    main(arguments)
