"""The console that commands draw on: its size is never nothing, whatever the environment says of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, Final, cast

from rich.console import Console, ConsoleDimensions

from rq_ses.cli.terminal import output

PIPED: Final = 160
"""Columns where nobody looks at a terminal."""

_NARROWEST: Final = 40
_LOWEST: Final = 5


class _Screen(Console):
    """A console of a size that something fits on: rich takes COLUMNS=0 at its word, and prints nothing."""

    @property
    def size(self) -> ConsoleDimensions:
        width, height = super().size
        return ConsoleDimensions(max(_NARROWEST, width), max(_LOWEST, height))

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        Console.size.__set__(self, new_size)  # type: ignore[attr-defined]


class _Stream:
    """stdout or stderr for rich, whose errors are noted and hinder nothing."""

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._stream = sys.stderr if err else sys.stdout
        self.encoding = getattr(self._stream, "encoding", "utf-8")

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _attempt(self, act: Callable[[], object]) -> None:
        if output.broken(err=self._err):
            return
        try:
            act()
        except OSError as exc:
            output.note_broken(exc, err=self._err)


def console(*, stderr: bool = False, piped: int = PIPED) -> Console:
    """Return a console for stdout or stderr; `piped` is its width where that is no terminal."""
    environment = {name: text for name, text in os.environ.items() if not _is_no_size(name, text)}
    drawn = _Screen(file=cast(IO[str], _Stream(err=stderr)), stderr=stderr, _environ=environment)
    if not drawn.is_terminal:
        drawn.width = piped
    return drawn


def _is_no_size(name: str, text: str) -> bool:
    # What rich would read as 0, or take a digit of another script for.
    return name in ("COLUMNS", "LINES") and not (text.isascii() and text.isdigit() and int(text[:6]) > 0)
