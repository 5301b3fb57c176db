"""Standard streams that every command can use, however it was started.

A service manager, cron or a shell (`2>&-`) may start a command without one of them, and with an encoding
that lacks our arrows and dashes.
"""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

import click


def prepare() -> None:
    """Put the null device in place of streams that are closed; write as an escape what can't be encoded."""
    _fill_descriptors()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Closed()))
    if sys.stdout is None:
        sys.stdout = _null()
    if sys.stderr is None:
        sys.stderr = _null()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


class _Closed(io.RawIOBase):
    """Standard input that isn't there: whoever reads it is told so, and not that it is empty."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> NoReturn:
        raise click.UsageError("standard input is closed: give a file in place of -")

    def fileno(self) -> NoReturn:
        raise click.UsageError("standard input is closed: give a file in place of -")


def _fill_descriptors() -> None:
    # A socket that got the number of a closed stream would be sent whatever a library writes there.
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _null() -> io.TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123
