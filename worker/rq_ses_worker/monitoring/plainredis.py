"""A few questions to a Redis over plain TCP, without redis-py, which takes longer to import than to ask.

Only for what has another way: whatever isn't answered at once, and as expected, is left to redis-py, which
knows TLS, Sentinels and failovers, and has words for each error. The protocol is RESP2:
https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import re
import socket
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

PATIENCE: Final = 0.5
"""Seconds for a connection and for an answer."""

_URL: Final = re.compile(
    r"redis://(?:(?P<user>[A-Za-z0-9._~-]*):(?P<password>[A-Za-z0-9._~-]+)@)?"
    r"(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[1-9]\d{0,4}))?(?:/(?P<db>\d{1,5}))?"
)
"""URLs in which nothing needs decoding."""


class NotPlain(Exception):
    """Raised for a URL, an answer or a network that takes redis-py."""


class PlainRedis:
    """A connection to the server of a URL, with those of redis-py's methods that are needed.

    Raises NotPlain, as its methods do.
    """

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if not found or int(found["port"] or 0) > 65535:
            raise NotPlain
        self._waiting: list[tuple[str | bytes, ...]] = []
        try:
            self._socket = socket.create_connection(
                (found["host"], int(found["port"] or 6379)), timeout=PATIENCE
            )
        except (OSError, ValueError) as exc:
            raise NotPlain from exc
        self._answers = self._socket.makefile("rb")
        if found["password"]:
            self._waiting.append(("AUTH", *filter(None, (found["user"], found["password"]))))
        if int(found["db"] or 0):
            self._waiting.append(("SELECT", found["db"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def smembers(self, key: str) -> list[bytes]:
        """Return the members of a set."""
        self._waiting.append(("SMEMBERS", key))
        members: list[bytes] = self._exchange()[-1]
        return members

    def pipeline(self, *, transaction: bool) -> _Pipeline:  # noqa: ARG002 - as redis-py has it
        """Return what gathers commands."""
        return _Pipeline(self)

    def ask(self, commands: list[tuple[str | bytes, ...]]) -> list[Any]:
        """Return the answers to commands that are sent together."""
        self._waiting += commands
        return self._exchange()

    def _exchange(self) -> list[Any]:
        asked, self._waiting = self._waiting, []
        try:
            self._socket.sendall(b"".join(map(_packed, asked)))
            return [_answer(self._answers) for _ in asked]
        except (OSError, ValueError) as exc:
            raise NotPlain from exc


class _Pipeline:
    def __init__(self, redis: PlainRedis) -> None:
        self._redis = redis
        self._commands: list[tuple[str | bytes, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the connection as it is."""

    def hmget(self, key: str | bytes, *fields: str) -> None:
        self._commands.append(("HMGET", key, *fields))

    def execute(self, *, raise_on_error: bool) -> list[Any]:  # noqa: ARG002 - an error is never an answer here
        return self._redis.ask(self._commands)


def _packed(command: tuple[str | bytes, ...]) -> bytes:
    words = [word.encode() if isinstance(word, str) else word for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _answer(answers: BinaryIO) -> Any:
    """Return one answer: bytes, None, or a list of such. Raises ValueError for an error, or none at all."""
    line = answers.readline()
    kind, rest = line[:1], line[1:].rstrip()
    if kind == b"+":
        return rest
    length = int(rest) if kind in (b"$", b"*") else -2
    if length == -1:
        return None
    if length < 0:
        raise ValueError("an error, the end, or what was not asked for")
    if kind == b"*":
        return [_answer(answers) for _ in range(length)]
    text = answers.read(length + 2)
    if len(text) != length + 2:
        raise ValueError("the end")
    return text[:-2]
