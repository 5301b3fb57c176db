"""Text in rows: a lead, such as a label, and what hangs under it; and moments in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from rq_ses.cli.terminal.console import console
from rq_ses.text.figures import age

_LABEL: Final = 18
"""Columns of a label."""


class Row(NamedTuple):
    """A lead that stands once, and a text whose further lines hang under its first."""

    lead: str
    text: str | Text
    style: str = ""


def tell(rows: Iterable[Row], to: Console) -> None:
    """Print rows: on a terminal with hanging indents, words whole; elsewhere a line each, however long."""
    for row in rows:
        text = row.text if isinstance(row.text, Text) else Text(row.text, style=row.style)
        if not to.is_terminal:
            to.file.write(f"{row.lead}{text.plain}".rstrip() + "\n")
            continue
        # Only what is longer than a line, such as an id on a narrow screen, is broken inside.
        lines = text.wrap(to, max(1, to.width - len(row.lead)), overflow="fold")
        for number, line in enumerate(lines or [Text()]):
            line.rstrip()
            lead = " " * len(row.lead) if number else row.lead
            to.print(Text(lead, style="default").append_text(line) if lead.strip() or line else Text())


def tell_labelled(labelled: Iterable[tuple[str | None, str]]) -> None:
    """Print labels and values; without a label ("") one goes on with that above, or (None) stands alone."""
    rows = (Row("" if label is None else f"{label:<{_LABEL}}", value) for label, value in labelled)
    tell(rows, console())


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
