"""How commands show failed mails: in groups, or a mail a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.progress import progress
from rq_ses.cli.terminal.rows import Ages, Row, tell
from rq_ses.deadletter import DeadLetter, DeadLetters, Filter, Group, Groups
from rq_ses.text.figures import counted
from rq_ses.text.plaintext import one_line

_COUNT: Final = 9
_UNDER: Final = " " * (_COUNT + 2)


def tell_groups(found: Iterable[Group], *, err: bool = False) -> None:
    """Print groups, the largest first."""
    now = datetime.now(UTC)
    tell((row for group in found for row in _group_rows(group, now)), console(stderr=err))


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


def letter_row(letter: DeadLetter) -> Iterator[Row]:
    """Yield a dead letter as a line of a list; on a terminal as a few."""
    at = f"{letter.failed_at:%Y-%m-%d %H:%M:%S}" if letter.failed_at else "?"
    head = Text.assemble((one_line(letter.job_id, 100), "bold"), f"  {at}")
    several = f" [{letter.mails:,} entries]" if letter.mails > 1 else ""
    what = Text(f"{one_line(letter.description, 130)}{several} | ")
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


def reading() -> Progress:
    """Return a progress bar for work whose length isn't known; its task is to be added."""
    return progress(TextColumn("{task.description}"), SpinnerColumn(), TextColumn("{task.completed:,} read"))


def preview(letters: DeadLetters, wanted: Filter) -> Groups:
    """Return the groups that are meant, beside a progress bar."""
    with reading() as bar:
        task = bar.add_task("reading", total=None)
        return letters.groups(wanted, on_progress=lambda number: bar.update(task, completed=number))


def tell_missing(wanted: Filter, seen: int) -> bool:
    """Say how many of the named jobs are no failed mails, and tell whether there are such."""
    if wanted.ids is None or wanted != Filter(ids=wanted.ids):
        return False  # another filter may have left them out
    count = len(set(wanted.ids)) - seen
    if count > 0:
        output.echo(f"{counted(count, 'job id is', 'job ids are')} no failed mail's", err=True)
    return count > 0
