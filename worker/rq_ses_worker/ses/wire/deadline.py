"""One deadline over a whole HTTP exchange.

The time-outs of sockets, and so of urllib3 and requests, hold for each operation alone: a server that sends a
byte now and then is never late. Here every operation on a socket gets only what is left of the exchange's
time. Where the exchange stands is kept for the thread that runs it, since urllib3 makes the sockets.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

MIN_UPLOAD_RATE: Final = 250_000
"""Bytes a second: 16 threads that each send a large mail share a line of 32 Mbit/s."""

SLOWEST_UPLOAD: Final = 50_000
"""Bytes a second below which no worker is set: its largest mails would outlive contract.JOB_TIMEOUT."""

ONE_PIECE: Final = 65_536
"""Bytes of a request that are sent in one piece with its head, and that have no time of their own."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long one whole exchange may take.

    Raises ValueError if a number is not finite and above 0.
    """

    seconds: float = 5.0
    """From the look-up of the name to the answer's last byte."""
    min_upload_rate: float = MIN_UPLOAD_RATE
    """Bytes a second: a request of more than 64 KiB has, once it is connected, so much more time as it takes
    at this rate."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"timeout {self.seconds!r} is not a time: use seconds above 0")
        if not (math.isfinite(self.min_upload_rate) and self.min_upload_rate > 0):
            raise ValueError(
                f"min_upload_rate {self.min_upload_rate!r} is not a rate: use bytes a second above 0"
            )

    def upload(self, size: int) -> float:
        """Return the seconds that a request of `size` bytes has more than others."""
        return size / self.min_upload_rate if size > ONE_PIECE else 0.0


class Phase(Enum):
    """How far an exchange has come, which decides whether the server can have the whole request."""

    IDLE = "nothing was done on the network"
    CONNECTING = "no byte of the request has left"
    TUNNELING = "the same, and a proxy was asked for a way through"
    SENDING = "a part of the request may have left, not all of it"
    AWAITING = "the whole request has left"


class Exchange(threading.local):
    """Hold the end (time.monotonic) and the phase of the exchange this thread is in."""

    end: float | None = None
    phase: Phase = Phase.IDLE
    allowed: float = 0.0
    """Seconds after which the exchange comes to its end: to be told if it does."""
    _large: tuple[float, float, float] | None = None
    """Of one with a large request: when it began, and its seconds without and for the upload."""

    def within(self, seconds: float, upload: float = 0.0) -> Self:
        """Begin an exchange that must end in `seconds`, and in `upload` more if its request takes that long.

        It is over when the block of the `with` statement is left. Connecting has `seconds` alone, waiting for
        the answer what is left of both: whether a large request has arrived can't be seen from here, since
        the system's buffer holds megabytes, and a gateway may take all of it at once and hand it on slowly.
        """
        began = time.monotonic()
        self._large = (began, seconds, upload) if upload else None
        self.phase, self.allowed, self.end = Phase.IDLE, seconds, began + seconds
        return self

    # Not contextlib's: a generator for each exchange costs as much as hashing its request.
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.end = None

    def enter(self, phase: Phase) -> None:
        """Come to a phase, with the time that it has from the exchange's beginning on."""
        self.phase = phase
        if self._large is None or self.end is None:
            return
        began, self.allowed, upload = self._large
        if phase in (Phase.SENDING, Phase.AWAITING):
            self.allowed += upload
        self.end = began + self.allowed

    def remaining(self) -> float | None:
        """Return the seconds left, None outside an exchange. Raises TimeoutError if there are none."""
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


EXCHANGE: Final = Exchange()


_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound=socket.socket)


def _in_time(operation: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    """Return a socket's operation that ends with the exchange of the thread that calls it."""

    # All arguments are handed through: gevent's patched sockets take others than the standard library's.
    @wraps(operation)
    def bounded(sock: _S, /, *args: _P.args, **options: _P.kwargs) -> _R:
        sock.settimeout(EXCHANGE.remaining())
        return operation(sock, *args, **options)

    return bounded


class DeadlineSocket(socket.socket):
    """A socket whose every operation ends with the exchange of the thread that uses it."""

    recv = _in_time(socket.socket.recv)
    recv_into = _in_time(socket.socket.recv_into)
    sendall = _in_time(socket.socket.sendall)


class DeadlineSSLSocket(ssl.SSLSocket):
    """The same over TLS, handshake included."""

    do_handshake = _in_time(ssl.SSLSocket.do_handshake)
    recv = _in_time(ssl.SSLSocket.recv)
    recv_into = _in_time(ssl.SSLSocket.recv_into)
    # SSLSocket.sendall calls this for every piece.
    send = _in_time(ssl.SSLSocket.send)


def connect(host: str, port: int, options: list[tuple[int, int, int | bytes]]) -> DeadlineSocket:
    """Return a connection to the first address of `host` that accepts one within the exchange's time.

    Raises socket.gaierror if there is no address, TimeoutError when the time is up, else the OSError of the
    last address.
    """
    failure: OSError = OSError(f"{host} has no address")
    addresses = _resolve(host.strip("[]"), port)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = DeadlineSocket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            _connect_one(sock, address, share=len(addresses) - number)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    raise failure


def _connect_one(sock: DeadlineSocket, address: Any, share: int) -> None:
    # An address that swallows packets must leave the others their part of the time.
    left = EXCHANGE.remaining()
    sock.settimeout(None if left is None else left / share)
    sock.connect(address)


_Addresses = list[tuple[Any, ...]]

_lookups: dict[tuple[int, str, int], Future[_Addresses]] = {}
_lookups_lock = threading.Lock()


def _resolve(host: str, port: int) -> _Addresses:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        pass
    # getaddrinfo knows no time-out, so it runs in a thread of its own; all who wait for a name share one.
    # A forked child has its parent's lookups but not their threads: hence the process id.
    key = (os.getpid(), host, port)
    with _lookups_lock:
        lookup = _lookups.get(key)
        if lookup is None:
            lookup = Future()
            thread = threading.Thread(target=_look_up, args=(key, lookup), name="resolve", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:
                raise socket.gaierror(socket.EAI_AGAIN, "no thread is left for the resolver") from exc
            _lookups[key] = lookup
    try:
        return lookup.result(EXCHANGE.remaining())
    except TimeoutError as exc:
        raise socket.gaierror(socket.EAI_AGAIN, "the resolver did not answer in time") from exc


def _look_up(key: tuple[int, str, int], lookup: Future[_Addresses]) -> None:
    _, host, port = key
    try:
        found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as exc:
        lookup.set_exception(socket.gaierror(socket.EAI_NONAME, f"not a host name: {exc}"))
    except OSError as exc:
        lookup.set_exception(exc)
    else:
        lookup.set_result(found)
    finally:
        with _lookups_lock:
            _lookups.pop(key, None)
