"""What the demo shows: where the mails are while it runs, and how each story ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rq_ses.states import FAILED, FINISHED, QUEUED, SCHEDULED, STARTED
from rq_ses_worker.demo.stories import STORIES
from rq_ses_worker.demo.verdicts import STATES, Verdict

_STYLES: Final = {
    QUEUED: "white",
    STARTED: "cyan",
    SCHEDULED: "yellow",
    FINISHED: "green",
    FAILED: "red",
}
_BAR: Final = 30


def totals(counts: Mapping[str, Counter[str]]) -> Counter[str]:
    """Return the mails of all stories by their state."""
    return sum(counts.values(), Counter())


def standing(counts: Mapping[str, Counter[str]], seconds: float) -> RenderableType:
    """Return the table of where the mails are, `seconds` after they were enqueued."""
    everywhere = totals(counts)
    mails = sum(story.mails for story in STORIES)
    done = everywhere[FINISHED] + everywhere[FAILED]
    head = Table.grid(padding=(0, 2))
    head.add_row(f" {seconds:4.1f} s", ProgressBar(mails, done, _BAR), f"{done} of {mails} have ended")
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, collapse_padding=True)
    table.add_column(" story", " all", no_wrap=True)
    table.add_column("mails", str(mails), justify="right")
    for state in STATES:
        table.add_column(state, _count(everywhere, state), justify="right")
    for story in STORIES:
        count = counts.get(story.title, Counter())
        row = [_count(count, state) for state in STATES]
        table.add_row(f" {story.title}", str(story.mails), *row)
    return Group(head, table)


def standing_line(counts: Mapping[str, Counter[str]], seconds: float) -> str:
    """Return the same in one line, for what is no terminal."""
    everywhere = totals(counts)
    return f"{seconds:5.1f} s  " + "  ".join(f"{state} {everywhere[state]:3}" for state in STATES)


def _count(count: Counter[str], state: str) -> Text:
    return Text(str(count[state]), style=_STYLES[state]) if count[state] else Text("·", style="dim")


def stories(found: Sequence[Verdict]) -> Table:
    """Return how each story ended, with its delays as the stand-in for SES measured them."""
    table = Table(
        title="How each story ended",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in (" story", "ended", "attempts", "again after", "as told"):
        table.add_column(name, no_wrap=True)
    for verdict in found:
        table.add_row(
            f" {verdict.story.title}",
            ", ".join(f"{count} {state}" for state, count in sorted(verdict.ended.items())),
            ", ".join(str(attempts) for attempts in sorted(verdict.attempts)),
            _delays(verdict.delays),
            Text("no", style="red") if verdict.problems else Text("yes", style="green"),
        )
    return table


def _delays(delays: Mapping[float, Sequence[float]]) -> str:
    """Least and greatest of each promised delay, a line each: 5 s: 5.005-5.019."""
    return "\n".join(
        f"{promised:g} s: {min(measured):.3f}–{max(measured):.3f}"
        for promised, measured in sorted(delays.items())
    )


def failures(lines: Mapping[str, Sequence[str]]) -> Table:
    """Return the failed mails of each story, with the line of the first one."""
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify = "In the failed registry, with SES's words", "left"
    table.add_column(justify="right", min_width=4)
    table.add_column(overflow="fold")
    for texts in lines.values():
        table.add_row(f"{len(texts)} ×", Text(texts[0]))
    return table
