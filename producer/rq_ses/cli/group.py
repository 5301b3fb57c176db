"""`rq-ses`, and the way it finds commands that other packages bring (entry points in "rq_ses.commands")."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import click

from rq_ses.cli.summaries import NEEDS, SUMMARIES
from rq_ses.cli.terminal import output, streams
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, SETTINGS, UNAVAILABLE
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.errors import OutboxUnavailable, SettingsError
from rq_ses.settings.environment import check_environment

_GROUP = "rq_ses.commands"
_FULL = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
_OURS = ("rq_ses", "rq_ses_worker")
_EXTRAS = {
    "worker": "worker",
    "audit": "worker",
    "doctor": "worker",
    "simulator": "simulator",
    "smtp": "smtp",
    "suppression sync": "worker",
}
"""The extra that brings a command's needs; any other command wants all of them."""


class Commands(WholeGroup):
    """The commands of all that is installed, each imported when it is used: workers need no progress bar.

    An RQ_SES_ variable that is no setting is refused before anything else: misspelt, it would do nothing.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        streams.prepare()
        try:
            return super().main(*args, **kwargs)
        except OSError as exc:  # help, which is printed before there is a command
            if not _is_of_stdout(exc):
                raise
            output.note_broken(exc)
            output.leave(OK)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(point.name for point in _points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return next((_load(point) for point in _points() if point.name == cmd_name), None)

    def summary(self, ctx: click.Context, name: str) -> str | None:
        point = next(point for point in _points() if point.name == name)
        if name not in SUMMARIES or point.module.partition(".")[0] not in _OURS:
            return super().summary(ctx, name)
        lacking = any(find_spec(module) is None for module in NEEDS.get(name, ()))
        return _remedy(name) if lacking else SUMMARIES[name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        asks_for_help = not set(ctx.help_option_names).isdisjoint(rest)
        # What reads its settings itself has its own way to end with what is wrong with them.
        if not (ctx.resilient_parsing or asks_for_help or getattr(command, "reads_settings", False)):
            check_environment(os.environ)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            super().invoke(ctx)
        except SettingsError as exc:
            for problem in exc.problems:
                output.echo(f"Error: {problem}", err=True)
            output.leave(SETTINGS)
        except OutboxUnavailable as exc:
            output.echo(f"Error: {exc}", err=True)
            output.leave(UNAVAILABLE)
        except click.exceptions.Exit as exc:
            output.leave(exc.exit_code)
        except SystemExit as exc:
            output.leave(exc.code if isinstance(exc.code, int) else OK if exc.code is None else INCOMPLETE)
        except OSError as exc:
            if not _is_of_stdout(exc):
                raise
            output.note_broken(exc)
        output.leave(OK)


def _is_of_stdout(exc: OSError) -> bool:
    """Tell whether it is click.echo's: an error of a full or broken stream, of no file that has a name."""
    return exc.filename is None and exc.errno in _FULL


def _points() -> list[EntryPoint]:
    return list(entry_points(group=_GROUP))


def _load(point: EntryPoint) -> click.Command:
    try:
        with _staying(point.module):
            command = point.load()
    except ModuleNotFoundError as exc:
        return missing(point.name, exc)
    if not isinstance(command, click.Command):
        raise TypeError(f"entry point {point.value} is no click command")
    return command


@contextmanager
def _staying(module: str) -> Iterator[None]:
    """Load what stays until the process ends: no collection looks at it, neither meanwhile nor later.

    Looking takes a tenth of a worker's start, and writes to memory that forked processes would else share.
    """
    if module in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def missing(name: str, exc: ModuleNotFoundError) -> click.Command:
    """Return a command that says which extra brings the one that can't be loaded."""

    @click.command(name, help=_remedy(name), context_settings={"ignore_unknown_options": True})
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def lacking(args: tuple[str, ...]) -> None:  # noqa: ARG001
        raise click.ClickException(f"{name} needs {exc.name}: {_install(name)}")

    return lacking


def _remedy(name: str) -> str:
    return f"(needs: {_install(name)})"


def _install(name: str) -> str:
    return f"pip install 'rq-ses[{_EXTRAS.get(name, 'all')}]'"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rq-ses")
def main() -> None:
    """Send e-mail durably: a queue in Redis in front, Amazon SES behind.

    Settings come from options, else from the environment (RQ_SES_..., AWS_...), else from the file that
    RQ_SES_CONFIG names.

    \b
    Example:
      rq-ses send --from a@example.com --to b@example.com --subject Hi --text Hi
    """
