"""Connections whose time-outs grow with what they write, within the time that the call has left.

redis-py gives one command of ten megabytes the same seconds as one of ten bytes, and a command the same
seconds whatever the caller's own bound leaves.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from redis.exceptions import TimeoutError as TimedOut

LEAST_RATE: Final = 128 * 1024
"""Bytes a second that a line to the server carries at least, or it is taken for one that hangs: 1 Mbit/s."""

_PIECE: Final = 256 * 1024
_LARGE: Final = 100_000
"""Bytes from which on an error names them: that the server hangs is no longer the likeliest cause."""

_LEAST: Final = 0.01
"""Seconds; a socket takes 0 for "don't wait at all"."""

_bound = threading.local()


def ending_within(seconds: float) -> AbstractContextManager[None]:
    """Let what this thread asks of a server in the block, connecting included, end in so many seconds."""
    return ending_at(time.monotonic() + seconds)


class ending_at:  # noqa: N801 - it reads as what it does in a `with`, and contextlib's own costs twice as much
    """Let what this thread asks of a server in the block end at a moment (time.monotonic()) at the latest."""

    __slots__ = ("_former", "_moment")

    def __init__(self, moment: float) -> None:
        self._moment = moment

    def __enter__(self) -> None:
        self._former = _end()
        _bound.end = min(self._former, self._moment)

    def __exit__(self, *_: object) -> None:
        _bound.end = self._former


def _end() -> float:
    return float(getattr(_bound, "end", math.inf))


class BoundedConnection:
    """A connection that waits longer for larger commands, and never beyond the end of its call."""

    _asked = 0.0
    _size = 0

    def _connect(self) -> Any:
        connection: Any = self
        usual = connection.socket_timeout, connection.socket_connect_timeout
        left = max(_end() - time.monotonic(), _LEAST)
        bounded = [left if seconds is None else min(seconds, left) for seconds in usual]
        if left < math.inf:
            # TLS shakes hands within socket_timeout.
            connection.socket_timeout, connection.socket_connect_timeout = bounded
        parent: Any = super()
        try:
            return parent._connect()
        finally:
            connection.socket_timeout, connection.socket_connect_timeout = usual

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command. Raises redis.exceptions.TimeoutError, which names the size of a large one."""
        pieces = [command] if isinstance(command, bytes | str) else list(command)
        size = sum(map(len, pieces))
        began = time.monotonic()
        parent: Any = super()
        try:
            parent.send_packed_command(self._timed(pieces, size, began), check_health)
        except TimedOut as exc:
            if large := not_sent(size, began):
                raise large from exc
            raise
        self._asked, self._size = began, size

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        try:
            return parent.read_response(*args, **kwargs)
        except TimedOut as exc:
            if large := not_answered(self._size, self._asked):
                raise large from exc
            raise

    def _timed(self, pieces: Sequence[Any], size: int, began: float) -> Iterable[Any]:
        """Return the pieces, each to be written when the socket has the time-out that is right then."""
        connection: Any = self
        usual = connection.socket_timeout
        until = min(_end(), math.inf if usual is None else began + patience(usual, size))
        if size > _PIECE or connection._sock is None or connection.health_check_interval:
            return self._paced(pieces, until)
        # As a rule: it is written at once, and nothing comes before it.
        self._end_by(until)
        return pieces

    def _paced(self, pieces: Sequence[Any], until: float) -> Iterator[Any]:
        for piece in pieces:
            # Over TLS a time-out is that of a record, so one large piece would have no bound at all.
            for start in range(0, len(piece), _PIECE):
                self._end_by(until)
                yield piece if len(piece) <= _PIECE else piece[start : start + _PIECE]

    def _end_by(self, until: float) -> None:
        connection: Any = self
        if until < math.inf and (limit := getattr(connection._sock, "settimeout", None)):
            limit(max(until - time.monotonic(), _LEAST))  # fakeredis's socket has no time-out


def patience(usual: float, size: int) -> float:
    """Return the seconds that a command of so many bytes has, where one of a few has the usual ones."""
    return usual + size / LEAST_RATE


def not_sent(size: int, began: float) -> TimedOut | None:
    """Return what names the size of a command that didn't go out since `began`; None if that is no cause."""
    waited = time.monotonic() - began
    return None if size < _LARGE else TimedOut(f"{megabytes(size)} did not go out within {waited:.1f} s")


def not_answered(size: int, asked: float) -> TimedOut | None:
    """Return what names the size of a command without an answer since `asked`; None if that is no cause."""
    waited = time.monotonic() - asked
    return None if size < _LARGE else TimedOut(f"no answer to {megabytes(size)} within {waited:.1f} s")


def megabytes(size: int) -> str:
    """Return a number of bytes as people read it: 10.4 MB."""
    return f"{size / 1e6:.1f} MB"
