"""Open files and sockets: how many a worker needs, and what to do when there are none left."""

from __future__ import annotations

import errno
import resource
import socket
from pathlib import Path
from typing import Any, Final

from redis import Redis

from rq_ses.errors import SettingsError

try:
    from redis.driver_info import DriverInfo
except ImportError:  # before redis-py 7
    DriverInfo: Any = None  # type: ignore[no-redef]

RESERVE: Final = 32
"""Descriptors beside those of the senders: for Redis, name servers, credentials, and who asks for metrics."""

_OPEN: Final = Path("/proc/self/fd")
_STANDARD: Final = 3
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})


def provide(concurrency: int) -> None:
    """Let this process open what a worker with so many threads needs: raise its soft limit if it is too low.

    Each thread that sends has a connection to SES, and so has the one that asks for the account's limits.
    Raises SettingsError, with the remedy, if the hard limit is too low.
    """
    needed = _already_open() + concurrency + 1 + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return
    fewer = concurrency - needed + hard
    remedy = f"set {fewer} at most, or raise the limit" if fewer > 0 else "raise the limit"
    raise SettingsError(
        [
            f"RQ_SES_CONCURRENCY: {concurrency} threads need {needed} open files and sockets in a process, "
            f"and the system allows {hard}: {remedy} (ulimit -n, LimitNOFILE=, --ulimit nofile=)"
        ]
    )


def exhausted() -> bool:
    """Tell whether no connection can be made for want of a descriptor."""
    try:
        socket.socket().close()
    except OSError as exc:
        return exc.errno in _NONE_LEFT
    return False


def connects_without_files(connection: Redis) -> Redis:
    """Return the client, which opens nothing but a socket for a connection.

    redis-py 8 reads its own version from a file for each, and where that can't be opened raises an OSError
    that is none of its errors.
    """
    if DriverInfo is not None:
        connection.connection_pool.connection_kwargs.setdefault("driver_info", DriverInfo())
    return connection


def _already_open() -> int:
    try:
        return sum(1 for _ in _OPEN.iterdir())
    except OSError:
        return _STANDARD
