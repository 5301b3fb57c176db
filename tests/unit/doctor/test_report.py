"""Findings as people and as scripts read them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from rq_ses_worker.doctor.finding import Finding, ok
from rq_ses_worker.doctor.report import as_json, show, summary

# The report

FINDINGS = [
    ok("redis.version", "speaks Redis [bold]7.2[/bold]"),
    Finding("workers.seen", "warning", "no worker " + "very " * 30, "start one"),
    Finding("gate.breaker", "error", "open", "close it"),
]


def printed(**options: Any) -> str:
    stream = io.StringIO()
    show(FINDINGS, Console(file=stream, **options))
    return stream.getvalue()


def test_a_pipe_gets_whole_lines_without_colours_or_markup() -> None:
    lines = printed(width=40).splitlines()
    assert lines[0] == "ok      redis.version: speaks Redis [bold]7.2[/bold]"
    assert lines[1].endswith("very")
    assert lines[2] == "        → start one"
    assert lines[-1] == "1 wrong, 1 warned of, 1 fine"
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_a_terminal_of_any_width_shows_every_word(width: int) -> None:
    text = printed(width=width, force_terminal=True, color_system=None)
    assert max(len(line) for line in text.splitlines()) <= width
    for finding in FINDINGS:
        for word in (finding.id, finding.severity, *finding.remedy.split()):
            assert word in text


def test_the_json_has_every_finding_and_the_gravest_severity() -> None:
    found = json.loads(as_json(FINDINGS))
    assert found["severity"] == "error"
    assert found["findings"][2] == {
        "id": "gate.breaker",
        "severity": "error",
        "text": "open",
        "remedy": "close it",
    }
    assert summary([]) == ""
