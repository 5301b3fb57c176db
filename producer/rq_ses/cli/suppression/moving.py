"""`rq-ses suppression import` and `export`: the list as a file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, cast

import click
from rich.progress import Progress, SpinnerColumn, TextColumn

from rq_ses.cli.suppression.group import reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.newfile import created
from rq_ses.cli.terminal.progress import progress
from rq_ses.suppression import REASONS, Reason
from rq_ses.suppression.files import FORMS, Form
from rq_ses.suppression.suppression import Added
from rq_ses.text.figures import counted

_format = click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="Of the file; by default what its name ends in, else csv.",
)


def _form(given: str | None, name: str) -> Form:
    if given is not None:
        return cast(Form, given)
    return "jsonl" if PurePath(name).suffix.lower() in (".jsonl", ".json", ".ndjson") else "csv"


def counting(what: str) -> Progress:
    """Return a progress bar that counts addresses; its task is to be added."""
    return progress(SpinnerColumn(), TextColumn(f"{what}: {{task.completed}} addresses"))


@ends_with({OK: "all is on the list", INCOMPLETE: "some lines could not be used", UNAVAILABLE: ""})
@click.command("import")
@click.argument("file", metavar="FILE")
@_format
@click.option(
    "--reason", type=click.Choice(REASONS), default="manual", show_default=True, help="Where a line has none."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@reaching
def import_(*, file: str, form: str | None, reason: str, as_json: bool, **where: Any) -> None:
    """Put the addresses of FILE (- for standard input) onto the list.

    CSV with the columns address, reason, at and text, of which all but the first may be missing: a file with
    an address a line will do. Or an object of JSON a line, with the same names. Reasons are manual, ses,
    bounce and complaint; at is ISO 8601 or epoch seconds. Names that SES uses are read, too. A file may be
    imported twice: what is there stays, or gets the worse reason.

    \b
    Examples:
      rq-ses suppression import unsubscribed.csv
      rq-ses suppression import --reason bounce addresses.txt
      gunzip -c list.jsonl.gz | rq-ses suppression import --format jsonl -
    """
    with opened("FILE", file) as source, reached(**where) as found, counting("importing") as bar:
        task = bar.add_task("importing", total=None)
        result = found.restore(
            source,
            _form(form, file),
            reason=cast(Reason, reason),
            on_problem=lambda number, problem: output.echo(f"line {number}: {problem}", err=True),
            on_progress=lambda done: bar.update(task, completed=done.lines),
        )
    if as_json:
        output.echo(json.dumps(asdict(result)))
    tell_added(result)
    if result.bad:
        sys.exit(INCOMPLETE)


def tell_added(result: Added) -> None:
    """Say what became of many addresses."""
    parts = [f"{counted(result.added, 'address', 'addresses')} added", f"{result.known:,} there already"]
    parts += [f"{result.changed:,} there for a lesser reason"] if result.changed else []
    parts += [f"{result.excepted:,} of SES's mailbox simulator left out"] if result.excepted else []
    parts += [counted(result.bad, "bad line", "bad lines")] if result.bad else []
    output.echo(", ".join(parts), err=True)


@ends_with({OK: "all is written", INCOMPLETE: "the file can't be written", UNAVAILABLE: ""})
@click.command()
@click.argument("file", metavar="FILE")
@_format
@reaching
def export(*, file: str, form: str | None, **where: Any) -> None:
    """Write the list to FILE, which must not be there yet (- for standard output).

    `rq-ses suppression import` reads it again. In CSV no cell begins like a formula: addresses that would are
    written in quotes, which are the same addresses.

    \b
    Examples:
      rq-ses suppression export list.csv
      rq-ses suppression export --format jsonl - | gzip > list.jsonl.gz
    """
    number = 0

    with reached(**where) as found, counting("writing") as bar:
        task = bar.add_task("writing", total=None)

        def told(done: int) -> None:
            nonlocal number
            number = done
            bar.update(task, completed=done)

        with created("FILE", file, lambda: counted(number, "address", "addresses")) as target:
            number = found.export(target, _form(form, file), on_progress=told)
    output.echo(f"{counted(number, 'address', 'addresses')} written", err=True)
