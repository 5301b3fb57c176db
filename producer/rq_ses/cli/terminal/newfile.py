"""Files that a command writes, "-" for standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import click

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE


@contextmanager
def created(parameter: str, name: str, so_far: Callable[[], str]) -> Iterator[IO[str]]:
    """Create the file of that name, or yield standard output for "-".

    Ends the program with INCOMPLETE, which says how far it came (`so_far`), when it can't be written to its
    end. Raises click.UsageError, which names the option or argument, if it is there, or can't be created.
    """
    try:
        with _target(parameter, name) as target:
            yield target
            target.flush()
    except OSError as exc:
        if name == "-":
            output.note_broken(exc)
        output.echo(
            f"Error: {parameter}: {name!r} can't be written: {exc.strerror}; it breaks off after about "
            f"{so_far()}",
            err=True,
        )
        sys.exit(INCOMPLETE)


@contextmanager
def _target(parameter: str, name: str) -> Iterator[IO[str]]:
    if name == "-":
        yield sys.stdout
        return
    try:
        # Mails and addresses are nobody else's business, and an older file may be all that is left of others.
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise click.UsageError(f"{parameter}: {name!r} is there already: give another name") from exc
    except OSError as exc:
        raise click.UsageError(f"{parameter}: {name!r} can't be written: {exc.strerror}") from exc
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as target:
        yield target
