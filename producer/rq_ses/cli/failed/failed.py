"""`rq-ses failed`: see the mails that failed for good."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from rq_ses.cli.failed.groups import (
    group_object,
    letter_row,
    passed_over,
    preview,
    reading,
    tell_groups,
    tell_missing,
)
from rq_ses.cli.failed.options import choosing, chosen, reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.newfile import created
from rq_ses.cli.terminal.rows import Ages, tell, tell_labelled
from rq_ses.deadletter import DeadLetterNotFound, DeadLetters, Filter
from rq_ses.deadletter.archive import Exported
from rq_ses.deadletter.view import letter_object, letter_rows
from rq_ses.text.figures import counted


@ends_with(
    {
        OK: "all was shown",
        INCOMPLETE: "JOB_ID is no failed mail or some mails could not be written",
        UNAVAILABLE: "",
    }
)
@click.command()
@click.argument("job_id", required=False)
@click.option("--list", "as_list", is_flag=True, help="A line a mail in place of groups.")
@choosing
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="With --list or --export: at most N mails."
)
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON a line.")
@click.option(
    "--export", metavar="FILE", help="Write the mails themselves, an object of JSON a line (- for stdout)."
)
@reaching
def failed(
    *,
    job_id: str | None,
    as_list: bool,
    limit: int | None,
    as_json: bool,
    export: str | None,
    queues: tuple[str, ...],
    redis_url: str | None,
    config: str | None,
    **filters: Any,
) -> None:
    """Show the mails that failed: in groups by SES's error and cause, as a list, or one of them whole.

    Looking changes nothing. JOB_ID shows one mail whole: what it says, its attempts, SES's answer and what to
    do about it. --export writes mails to a file that `rq-ses import` reads; it holds all they say.

    \b
    Examples:
      rq-ses failed
      rq-ses failed --list --code MessageRejected --newer-than 2h
      rq-ses failed 5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5
      rq-ses failed --json | jq -r .code
      rq-ses failed --export failed.jsonl
    """
    if job_id is not None and (
        as_list or export or limit or any(v not in (None, ()) for v in filters.values())
    ):
        raise click.UsageError("JOB_ID shows one mail: drop the other options, or name it in --ids")
    _check_form(as_list=as_list, export=export, limit=limit)
    wanted = chosen((), **filters)
    with reached(queues, redis_url, config) as letters:
        if job_id is not None:
            _show_one(letters, job_id, as_json=as_json)
        elif export:
            _export(letters, wanted, export, limit)
        elif as_list:
            _list(letters, wanted, limit, as_json=as_json)
        else:
            _show_groups(letters, wanted, as_json=as_json)


def _check_form(*, as_list: bool, export: str | None, limit: int | None) -> None:
    if as_list and export:
        raise click.UsageError("--list and --export: both were given: give one of them")
    if limit and not (as_list or export):
        raise click.UsageError("--limit goes with --list or --export")


def _show_groups(letters: DeadLetters, wanted: Filter, *, as_json: bool) -> None:
    found = preview(letters, wanted)
    if as_json:
        for group in found:
            output.echo(json.dumps(group_object(group)))
    else:
        tell_groups(found)
    for line in passed_over(found):
        output.echo(line, err=True)
    mails = counted(found.count, "failed mail", "failed mails")
    groups = counted(len(found), "group", "groups")
    order = ", the largest first" if len(found) > 1 else ""
    output.echo(f"{mails} in {groups}{order} ({', '.join(letters.queues)})", err=True)
    _end(wanted, found.letters)


def _list(letters: DeadLetters, wanted: Filter, limit: int | None, *, as_json: bool) -> None:
    number = mails = 0
    screen = console()
    for letter in islice(letters.find(wanted), limit):
        if as_json:
            output.echo(json.dumps(letter_object(letter)))
        else:
            tell(letter_row(letter), screen)
        if output.broken():
            sys.exit(INCOMPLETE)  # looking changes nothing, and nobody looks any more
        number += 1
        mails += letter.mails
    order = ", of each queue the one that failed first before the others" if number > 1 else ""
    output.echo(f"{counted(mails, 'failed mail', 'failed mails')}{order}", err=True)
    if not limit:
        _end(wanted, number)


def _end(wanted: Filter, seen: int) -> None:
    if tell_missing(wanted, seen):
        sys.exit(INCOMPLETE)


def _show_one(letters: DeadLetters, job_id: str, *, as_json: bool) -> None:
    try:
        letter = letters.get(job_id)
    except DeadLetterNotFound as exc:
        output.echo(f"Error: {exc}", err=True)
        sys.exit(INCOMPLETE)
    if as_json:
        output.echo(json.dumps(letter_object(letter)))
    else:
        tell_labelled(letter_rows(letter, Ages(datetime.now(UTC)).when))


def _export(letters: DeadLetters, wanted: Filter, name: str, limit: int | None) -> None:
    result = Exported()
    with (
        created("--export", name, lambda: counted(result.exported, "mail", "mails")) as target,
        reading() as bar,
    ):
        task = bar.add_task("writing", total=None)

        def told(done: Exported) -> None:
            nonlocal result
            result = done
            bar.update(task, completed=done.exported)

        result = letters.export(target, wanted, limit=limit, on_progress=told)
    output.echo(f"{counted(result.exported, 'mail', 'mails')} written", err=True)
    if result.unreadable:
        output.echo(f"{counted(result.unreadable, 'mail', 'mails')} can't be read and are left out", err=True)
        sys.exit(INCOMPLETE)
    if not limit:
        _end(wanted, result.exported)
