"""What `resend` and `discard` do alike: look at what is meant, ask, move it, and tell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from rq_ses.cli.failed.groups import preview, tell_groups, tell_missing
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK
from rq_ses.cli.terminal.progress import progress
from rq_ses.deadletter import DeadLetters, Discarded, Filter, Groups, Resent
from rq_ses.text.figures import counted

Done = TypeVar("Done", Resent, Discarded)
"""What a command counts: what it has moved, and what it has left."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How mails are moved: at most how many, whether at all, whether it is asked, and how it is told."""

    limit: int | None
    dry_run: bool
    yes: bool
    as_json: bool

    def check(self, ids_file: str | None) -> None:
        """Make sure that there is somebody to ask, if it is to be asked. Raises click.UsageError."""
        if self.yes or self.dry_run:
            return
        if sys.stdin is None or not sys.stdin.isatty() or ids_file == "-":
            raise click.UsageError(
                "there is no terminal to ask on: give --yes, or --dry-run to see what it would do"
            )

    def tell_result(self, result: Resent | Discarded, words: str) -> None:
        """Print what was done: on stdout as JSON where that is wanted, on stderr in words."""
        if self.as_json:
            output.echo(json.dumps(asdict(result)))
        output.echo(words, err=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is meant to be moved, before anything is.

    Attributes:
        wanted: what the command's options choose.
        found: the groups that it chooses, with what it can't.
        count: how many mails are to be moved.
    """

    wanted: Filter
    found: Groups
    count: int

    def tell(self, manner: Manner, verb: str, participle: str) -> None:
        """Print what would be done."""
        if manner.as_json:
            output.echo(json.dumps({f"would_{verb}": self.count, "unknown": self.found.unknown}))
        else:
            tell_groups(self.found)
        output.echo(f"{counted(self.count, 'mail', 'mails')} would be {participle}", err=True)

    def tell_missing(self) -> bool:
        """Say how many of the named jobs are no failed mails, and tell whether there are such."""
        return tell_missing(self.wanted, self.found.letters + self.found.gone + self.found.foreign)


def planned(letters: DeadLetters, wanted: Filter, limit: int | None, *, leave_unknown: bool) -> Plan:
    """Look at what is wanted, beside a progress bar; `leave_unknown` leaves what SES may have accepted."""
    found = preview(letters, wanted)
    count = found.count - (found.unknown if leave_unknown else 0)
    return Plan(wanted, found, count if limit is None else min(count, limit))


def followed(
    what: str,
    total: int,
    move: Callable[[Callable[[Done], None]], Done],
    *,
    nothing: Done,
    count: Callable[[Done], int],
) -> tuple[Done, bool]:
    """Run `move` beside a progress bar; return what was done, and whether it came to its end.

    Args:
        what: the work, for the bar.
        total: mails that are to be moved.
        move: called with what it tells, as often as it likes, of what is done; Ctrl-C may end it.
        nothing: what is done before it has told anything.
        count: how many mails were moved.
    """
    result = nothing
    with progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as bar:
        task = bar.add_task(what, total=total)

        def told(done: Done) -> None:
            nonlocal result
            result = done
            bar.update(task, completed=count(done))

        try:
            result = move(told)
        except KeyboardInterrupt:
            return result, False
    return result, True


def tell_again(count: int) -> None:
    """Say how many mails were left because they have failed anew."""
    if count:
        output.echo(f"{counted(count, 'mail', 'mails')} left: failed anew meanwhile", err=True)


def tell_partly(count: int) -> None:
    """Say how many jobs were left because they hold other entries of a campaign, too."""
    if count:
        them = "it by its job id" if count == 1 else "them by their job ids"
        output.echo(
            f"{counted(count, 'job', 'jobs')} left: other entries of the campaign failed with those that "
            f"are meant, and are moved with them alone: name {them} (rq-ses failed --list)",
            err=True,
        )


def end(*, left: bool, whole: bool = True) -> NoReturn:
    """End the command: `left` if some of it was not done, not `whole` if it was interrupted."""
    if not whole:
        output.echo("interrupted: run it again to go on", err=True)
    sys.exit(INCOMPLETE if left or not whole else OK)
