"""The console that commands draw on, of whatever size the environment says a terminal is."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table

from rq_ses.cli.terminal.console import console


class Terminal(io.StringIO):
    """A stream that is a terminal, or says so, of a size that nobody knows."""

    def __init__(self, *, is_one: bool) -> None:
        super().__init__()
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


@pytest.mark.parametrize("columns", ["0", "-1", "1", "7", "abc", "", "²", "00", "99999999999999999999"])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_no_width_makes_it_print_nothing(
    monkeypatch: pytest.MonkeyPatch, columns: str, on_terminal: bool
) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, columns)
    monkeypatch.setenv("TERM", "xterm")
    stdout = Terminal(is_one=on_terminal)
    monkeypatch.setattr(sys, "stdout", stdout)
    table = Table("queue", "failed")
    table.add_row("mail-bulk", "12")
    drawn = console()
    drawn.print("how it stands", table)
    assert drawn.is_terminal is on_terminal
    for word in ("how it stands", "mail-bulk", "12"):
        assert word in stdout.getvalue()
