"""Which entry `rq-ses campaign preview` shows."""

from __future__ import annotations

from itertools import islice

import click
from pydantic import ValidationError
from pydantic_core import from_json

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.checking import Checker
from rq_ses.campaign.entry import Entry
from rq_ses.cli.campaign.entryfile import format_of, read_rows
from rq_ses.cli.terminal.inputs import opened
from rq_ses.text.invalid import explain

_NOBODY = "reader@example.com"


def chosen_entry(
    campaign: Campaign, entries: str | None, kind: str | None, number: int, data: str | None
) -> Entry:
    """Return the entry of a file, by its number, or one with these data.

    Raises:
        click.UsageError: there is none.
        ValueError: it can't be sent.
    """
    entry = _with(data) if data is not None else _read(str(entries), kind, number)
    if problem := Checker(campaign).problem(entry):
        raise ValueError(problem)
    return entry


def _with(data: str) -> Entry:
    try:
        return Entry(_NOBODY, from_json(data))
    except ValidationError as exc:
        raise click.UsageError("; ".join(f"--{problem}" for problem in explain(exc))) from exc
    except ValueError as exc:
        raise click.UsageError(f"--data: is no JSON: {exc}") from exc


def _read(entries: str, kind: str | None, number: int) -> Entry:
    with opened("--entries", entries) as source:
        rows = read_rows(source, kind or format_of(entries, source))  # type: ignore[arg-type]
        row = next(islice(rows, number - 1, None), None)
    if row is None:
        raise click.UsageError(f"--entry: {entries} has fewer than {number} entries")
    if row.entry is None:
        raise ValueError(f"line {row.number}: {row.problem}")
    return row.entry
