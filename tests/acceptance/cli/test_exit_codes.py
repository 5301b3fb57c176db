"""What an exit code means is said once: help and documentation follow the table in `exits`."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from rq_ses.cli import main
from rq_ses.cli.sendmail import exits as sendmail_exits
from rq_ses.cli.terminal import exits
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, SETTINGS, UNAVAILABLE, USAGE, ends_with

DOCS = Path(__file__).parents[3] / "docs"
_ROW = re.compile(r"^\| (\d) \| (.*?) \|(?: (.*?))? \|$", re.MULTILINE)


def _plain(text: str) -> str:
    """One line without what stands in parentheses, where help and documentation go into detail."""
    return re.sub(r" \([^)]*\)", "", " ".join(text.split()))


def _helped(name: str) -> dict[int, str]:
    """What the help of a command says of each of its exit codes."""
    with click.Context(main) as context:
        command = main.get_command(context, name)
    assert command is not None
    [said] = re.findall(r"Exit codes: ([^.]*)\.$", _plain(command.help or ""))
    return {int(code): meaning for code, meaning in re.findall(r"(\d) (.*?)(?:, (?=\d )|$)", said)}


def _rows(page: str) -> dict[int, tuple[str, str]]:
    return {int(code): (means, then) for code, means, then in _ROW.findall((DOCS / page).read_text())}


def test_the_table_has_every_number_once_and_all_have_a_meaning() -> None:
    assert list(exits.CODES) == list(range(7))
    assert all(code.meaning for code in exits.CODES)
    assert all(code.remedy for code in exits.CODES if code != OK)


def test_help_is_made_of_the_table_and_of_what_a_command_declares() -> None:
    @ends_with({OK: "", INCOMPLETE: "one was left", UNAVAILABLE: ""})
    @click.command()
    def example() -> None:
        """Do something."""

    assert example.help == (
        "Do something.\n\nExit codes: 0 done, 1 one was left, 2 bad command line, 3 bad settings, 4 no Redis."
    )


@pytest.mark.parametrize(
    "name", sorted(set(main.list_commands(click.Context(main))) - {"simulator", "demo", "sendmail"})
)
def test_codes_that_mean_the_same_everywhere_are_said_in_the_same_words(name: str) -> None:
    said = _helped(name)
    assert said.keys() <= set(exits.CODES)
    assert {OK, USAGE, SETTINGS} <= said.keys()
    for code in (USAGE, SETTINGS, UNAVAILABLE, exits.DENIED):
        assert said.get(code, _plain(code.meaning)) == _plain(code.meaning)


def test_the_reference_shows_the_whole_table() -> None:
    assert _rows("reference/cli.md") == {int(code): (code.meaning, code.remedy) for code in exits.CODES}


def test_the_page_about_sendmail_shows_the_codes_of_its_own() -> None:
    page = (DOCS / "how-to" / "sendmail.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*?) \|$", page, re.MULTILINE)
    assert rows == [(str(int(code)), code.meaning) for code in sendmail_exits.CODES]


def test_what_cron_is_told_is_the_table_with_words_of_its_own_for_success_failure_and_no_redis() -> None:
    rows = _rows("how-to/cron.md")
    assert rows.keys() == set(exits.CODES)
    for code in exits.CODES:
        if code not in (OK, INCOMPLETE):
            assert _plain(rows[code][0]) == _plain(code.meaning)
        if code not in (OK, INCOMPLETE, UNAVAILABLE):
            assert rows[code][1] == code.remedy


@pytest.mark.parametrize(
    ("page", "name", "codes"),
    [
        ("status.md", "status", {0, 1, 2, 3, 4}),
        ("doctor.md", "doctor", {0, 1, 2, 3, 5}),
        ("operations.md", "worker", {1, 3, 5, 6}),
    ],
)
def test_a_page_that_names_codes_says_what_the_commands_help_says(
    page: str, name: str, codes: set[int]
) -> None:
    text = _plain((DOCS / page).read_text())
    for code in codes:
        said = _helped(name)[code].partition(", or ")[0]
        assert re.search(rf"\b{code} {re.escape(said)}", text), f"{page} doesn't say: {code} {said}"
