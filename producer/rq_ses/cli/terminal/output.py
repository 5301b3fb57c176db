"""What a command prints: who reads it, or how full the disk is, changes nothing about what it does."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

import click

from rq_ses.cli.terminal.exits import INCOMPLETE, OK

_BROKEN: Final = "rq_ses.cli.terminal.output"
_elsewhere: set[bool] = set()


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a line on stdout (or stderr); one that can't be written any more is told on stderr, once."""
    if broken(err=err):
        return
    try:
        try:
            click.echo(text, err=err)
        except UnicodeEncodeError as exc:
            click.echo(text.encode(exc.encoding, "replace").decode(exc.encoding), err=err)
    except OSError as exc:
        note_broken(exc, err=err)


def note_broken(exc: OSError, *, err: bool = False) -> None:
    """Note that stdout (or stderr) can't be written any more, and say so where it still can be."""
    if broken(err=err):
        return
    _noted().add(err)
    _drain(sys.stderr if err else sys.stdout)
    if not err:
        reason = exc.strerror or str(exc)
        echo(f"Error: standard output can't be written ({reason}): going on without it", err=True)


def broken(*, err: bool = False) -> bool:
    """Tell whether a line on stdout (or stderr) was lost."""
    return err in _noted()


def leave(code: int) -> NoReturn:
    """End the command with an exit code; INCOMPLETE in place of OK if something it said was lost."""
    flush()
    sys.exit(INCOMPLETE if code == OK and _noted() else code)


def flush() -> None:
    """Write out what others have printed."""
    for err, stream in ((False, sys.stdout), (True, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except OSError as exc:
            note_broken(exc, err=err)


def _noted() -> set[bool]:
    context = click.get_current_context(silent=True)
    found: set[bool] = _elsewhere if context is None else context.meta.setdefault(_BROKEN, set())
    return found


def _drain(stream: object) -> None:
    """Let what is still in its buffer go nowhere: else Python tries again at its end, and complains."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())  # type: ignore[attr-defined]
        finally:
            os.close(null)
