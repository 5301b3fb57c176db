"""Findings as people and as scripts read them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rq_ses_worker.doctor.finding import SEVERITIES, Finding, Severity, worst

_STYLES: Final[dict[Severity, str]] = {
    "ok": "green",
    "info": "cyan",
    "warning": "yellow",
    "error": "bold red",
}
_PLURALS: Final[dict[Severity, str]] = {
    "ok": "fine",
    "info": "to know",
    "warning": "warned of",
    "error": "wrong",
}
_NARROW: Final = 72
_WIDEST: Final = 120


def as_json(findings: Sequence[Finding]) -> str:
    """Return one JSON object: the worst severity, and every finding with id, severity, text and remedy."""
    return json.dumps(
        {"severity": worst(findings), "findings": [asdict(finding) for finding in findings]},
        indent=2,
    )


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a table where it fits a terminal; elsewhere a line for each finding, its remedy under it."""
    if console.is_terminal and console.width >= _NARROW:
        console.print(_table(findings), width=min(console.width, _WIDEST))
    else:
        for finding in findings:
            console.print(_line(finding), soft_wrap=not console.is_terminal)
    console.print(Text(summary(findings)), soft_wrap=not console.is_terminal)


def summary(findings: Sequence[Finding]) -> str:
    """Return the counts: `1 wrong, 2 warned of, 9 fine`."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[one]} {_PLURALS[one]}" for one in reversed(SEVERITIES) if counts[one])


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(finding.text)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="italic")
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        table.add_row(severity, Text(finding.id, style="dim"), text)
    return table


def _line(finding: Finding) -> Text:
    line = Text(f"{finding.severity:<7} ", style=_STYLES[finding.severity])
    line.append(f"{finding.id}: {finding.text}", style="default")
    if finding.remedy:
        line.append(f"\n        → {finding.remedy}", style="italic default")
    return line
