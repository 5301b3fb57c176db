"""Files that a command reads, "-" for standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from rq_ses.text.textfile import NotText


@contextmanager
def opened(parameter: str, name: str) -> Iterator[BinaryIO]:
    """Open the file of that name, or standard input for "-".

    Raises click.UsageError, which names the option or argument, if it can't be opened or is no text.
    """
    try:
        with _source(parameter, name) as source:
            yield source
    except NotText as exc:
        raise click.UsageError(f"{parameter}: {name!r} can't be read: {exc}") from exc


@contextmanager
def _source(parameter: str, name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        source = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as exc:
        raise click.UsageError(f"{parameter}: {name!r} can't be read: {exc.strerror}") from exc
    with source:
        yield source
