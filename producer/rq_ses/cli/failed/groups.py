"""How commands show dead letters: groups of them, one of them, and how far a long reading is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.screen import Row, console, tell
from rq_ses.deadletter import DeadLetter, DeadLetters, Filter, Group, Groups
from rq_ses.text.figures import age, counted
from rq_ses.text.plaintext import one_line

LABEL: Final = 18
_COUNT: Final = 9
_UNDER: Final = " " * (_COUNT + 2)


def tell_groups(found: Iterable[Group], *, err: bool = False) -> None:
    """Print groups, the largest first."""
    now = datetime.now(UTC)
    tell((row for group in found for row in _group_rows(group, now)), console(stderr=err))


def tell_rows(labelled: Iterable[tuple[str | None, str]]) -> None:
    """Print labels and values; without a label ("") one goes on with that above, or (None) stands alone."""
    rows = (Row("" if label is None else f"{label:<{LABEL}}", value) for label, value in labelled)
    tell(rows, console())


def _group_rows(group: Group, now: datetime) -> Iterator[Row]:
    yield Row(f"{group.count:>{_COUNT},}  ", _failure(group.code, group.cause))
    text = Text(f"failed {_span(group, now)}", style="dim")
    if group.unknown:
        several = f"{group.unknown:,} of them SES may have accepted"
        text.append(f"; {several if group.count > 1 else 'SES may have accepted it'}", style="not dim yellow")
    yield Row(_UNDER, text)
    if hint := group.hint:
        yield Row(_UNDER, f"Hint: {one_line(hint, 1000)}", "italic")


def _span(group: Group, now: datetime) -> str:
    # The newest one first, so that an age that both have stands at the end.
    ages = Ages(now)
    newest = ages.when(group.newest)
    return newest if group.newest == group.oldest else f"{ages.when(group.oldest)} to {newest}"


class Ages:
    """Puts moments into words, each with its distance from now, unless it is that of the one before."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._told = ""

    def when(self, moment: datetime | None) -> str:
        """Return a moment in words."""
        if moment is None:
            return "at an unknown time"
        distance = age((self._now - moment).total_seconds())
        again, self._told = distance == self._told, distance
        text = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return text if again else f"{text} ({distance})"


def letter_row(letter: DeadLetter) -> Iterator[Row]:
    """Yield a dead letter as a line of a list; on a terminal as a few."""
    at = f"{letter.failed_at:%Y-%m-%d %H:%M:%S}" if letter.failed_at else "?"
    head = Text.assemble((one_line(letter.job_id, 100), "bold"), f"  {at}")
    what = Text(f"{one_line(letter.description, 130)} | ")
    what.append_text(_failure(letter.code, letter.message))
    if letter.unknown:
        what.append(" [SES may have accepted it]", style="yellow")
    if console().is_terminal:
        yield Row("", head)
        yield Row("    ", what)
    else:
        yield Row("", Text.assemble(head, "  ", what))


def _failure(code: str, message: str) -> Text:
    """Return what went wrong on one inert line."""
    text = Text(one_line(code, 120), style="")
    text.stylize("red")
    words = one_line(message, 500)
    return text.append(f": {words}", style="default") if words else text


def progress(total: int | None = None) -> Progress:
    """Return a progress bar for stderr, drawn if that is a terminal; its task is to be added."""
    measure = (SpinnerColumn(), TextColumn("{task.completed:,} read")) if total is None else (
        BarColumn(), MofNCompleteColumn())  # fmt: skip
    return Progress(
        TextColumn("{task.description}"),
        *measure,
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        # rich would print on stderr what goes to a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )


Done = TypeVar("Done")


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
    with progress(total) as bar:
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


def group_object(group: Group) -> dict[str, Any]:
    """Return a group as an object for JSON."""
    return {
        "code": group.code,
        "cause": group.cause,
        "count": group.count,
        "unknown": group.unknown,
        "oldest": group.oldest.isoformat() if group.oldest else None,
        "newest": group.newest.isoformat() if group.newest else None,
        "hint": group.hint,
    }


def passed_over(found: Groups) -> list[str]:
    """Return lines about what isn't in the groups."""
    lines = []
    if found.gone:
        lines.append(f"{counted(found.gone, 'entry', 'entries')} without a failed job passed over")
    if found.foreign:
        lines.append(f"{counted(found.foreign, 'job that is no mail', 'jobs that are no mails')} passed over")
    return lines


def preview(letters: DeadLetters, wanted: Filter) -> Groups:
    """Return the groups that are meant, beside a progress bar."""
    with progress() as bar:
        task = bar.add_task("reading", total=None)
        return letters.groups(wanted, on_progress=lambda number: bar.update(task, completed=number))


def may_ask(ids_file: str | None) -> None:
    """Make sure that there is somebody to ask. Raises click.UsageError."""
    if sys.stdin is None or not sys.stdin.isatty() or ids_file == "-":
        raise click.UsageError(
            "there is no terminal to ask on: give --yes, or --dry-run to see what it would do"
        )


def missing(wanted: Filter, seen: int) -> int:
    """Return how many of the named jobs are no dead letters; 0 where other filters may have left them out."""
    plain = Filter(ids=wanted.ids)
    return len(set(wanted.ids)) - seen if wanted.ids is not None and wanted == plain else 0


def tell_missing(wanted: Filter, seen: int) -> bool:
    """Say how many of the named jobs are no failed mails, and tell whether there are such."""
    count = missing(wanted, seen)
    if count > 0:
        output.echo(f"{counted(count, 'job id is', 'job ids are')} no failed mail's", err=True)
    return count > 0
