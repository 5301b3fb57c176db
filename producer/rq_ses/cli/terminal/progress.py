"""What long work shows on stderr: a progress bar, where that is a terminal, and text beside it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Self

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.output import echo


def progress(*columns: ProgressColumn, redirect: bool = True) -> Progress:
    """Return a progress bar for stderr, drawn if that is a terminal; its task is to be added.

    What is printed meanwhile stands above the bar; on stdout only if that is a terminal, for rich would print
    on stderr what goes to a file or a pipe. Without `redirect` that is left to the caller.
    """
    return Progress(
        *columns,
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        redirect_stdout=redirect and sys.stdout.isatty(),
        redirect_stderr=redirect,
    )


class Display:
    """A progress bar where stderr is a terminal, and lines of text that don't tear it."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._shared = self._shown and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
        self._progress = progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[lines]} lines"),
            TimeRemainingColumn(),
            redirect=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def task(self, description: str, source: BinaryIO) -> Iterator[Callable[[int, int], None]]:
        """Show how far the reading of `source` is; yields what counts bytes, and names the last line."""
        task = self._progress.add_task(description, total=_size_ahead(source), lines=0)
        yield lambda size, number: self._progress.update(task, advance=size, lines=number)
        self._progress.remove_task(task)

    def data(self, text: str) -> None:
        """Print on stdout; through the bar's own console if both are one terminal."""
        if self._shared:
            self._print(text)
        else:
            echo(text)

    def note(self, text: str) -> None:
        """Print on stderr."""
        if self._shown:
            self._print(text)
        else:
            echo(text, err=True)

    def _print(self, text: str) -> None:
        self._progress.console.print(Text(text), soft_wrap=True)


def _size_ahead(source: BinaryIO) -> int | None:
    found = os.fstat(source.fileno())
    return found.st_size - source.tell() if stat.S_ISREG(found.st_mode) else None
