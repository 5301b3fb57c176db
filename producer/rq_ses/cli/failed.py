"""`rq-ses failed`: see the mails that failed for good."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

import click

from rq_ses.cli.exits import INCOMPLETE
from rq_ses.cli.letters import (
    choosing,
    chosen,
    counted,
    failure,
    group_lines,
    group_object,
    missing,
    passed_over,
    progress,
    reached,
    reaching,
    when,
)
from rq_ses.deadletter import DeadLetter, DeadLetterNotFound, DeadLetters, Filter
from rq_ses.deadletter.view import letter_lines, letter_object
from rq_ses.plaintext import one_line


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

    Exit codes: 0 all was shown, 1 JOB_ID is no failed mail or some mails could not be written, 2 bad command
    line, 3 bad settings, 4 no Redis.
    """
    if job_id is not None and (
        as_list or export or limit or any(v not in (None, ()) for v in filters.values())
    ):
        raise click.UsageError("JOB_ID shows one mail: drop the other options, or name it in --ids")
    if as_list and export:
        raise click.UsageError("--list and --export: both were given: give one of them")
    if limit and not (as_list or export):
        raise click.UsageError("--limit goes with --list or --export")
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


def _show_groups(letters: DeadLetters, wanted: Filter, *, as_json: bool) -> None:
    with progress() as bar:
        task = bar.add_task("reading", total=None)
        found = letters.groups(wanted, on_progress=lambda number: bar.update(task, completed=number))
    now = datetime.now(UTC)
    for group in found:
        if as_json:
            click.echo(json.dumps(group_object(group)))
        else:
            click.echo("\n".join(group_lines(group, now)))
    for line in passed_over(found):
        click.echo(line, err=True)
    mails = counted(found.count, "failed mail", "failed mails")
    click.echo(f"{mails} in {counted(len(found), 'group', 'groups')} ({', '.join(letters.queues)})", err=True)
    _tell_missing(wanted, found.count)


def _list(letters: DeadLetters, wanted: Filter, limit: int | None, *, as_json: bool) -> None:
    number = 0
    for letter in islice(letters.find(wanted), limit):
        number += 1
        click.echo(json.dumps(letter_object(letter)) if as_json else _line(letter))
    click.echo(counted(number, "failed mail", "failed mails"), err=True)
    if not limit:
        _tell_missing(wanted, number)


def _line(letter: DeadLetter) -> str:
    at = f"{letter.failed_at:%Y-%m-%d %H:%M:%S}" if letter.failed_at else "?"
    doubt = " [SES may have accepted it]" if letter.unknown else ""
    what = f"{one_line(letter.description, 130)} | {failure(letter.code, letter.message)}{doubt}"
    return f"{one_line(letter.job_id, 100)}  {at}  {what}"


def _tell_missing(wanted: Filter, seen: int) -> None:
    if (count := missing(wanted, seen)) > 0:
        click.echo(f"{counted(count, 'job id is', 'job ids are')} no failed mail's", err=True)
        sys.exit(INCOMPLETE)


def _show_one(letters: DeadLetters, job_id: str, *, as_json: bool) -> None:
    try:
        letter = letters.get(job_id)
    except DeadLetterNotFound as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(INCOMPLETE)
    if as_json:
        click.echo(json.dumps(letter_object(letter)))
    else:
        click.echo("\n".join(letter_lines(letter, lambda moment: when(moment, datetime.now(UTC)))))


def _export(letters: DeadLetters, wanted: Filter, name: str, limit: int | None) -> None:
    with _created(name) as target, progress() as bar:
        task = bar.add_task("writing", total=None)
        result = letters.export(
            target, wanted, limit=limit, on_progress=lambda done: bar.update(task, completed=done.exported)
        )
    click.echo(f"{counted(result.exported, 'mail', 'mails')} written", err=True)
    if result.unreadable:
        click.echo(f"{counted(result.unreadable, 'mail', 'mails')} can't be read and are left out", err=True)
        sys.exit(INCOMPLETE)
    if not limit:
        _tell_missing(wanted, result.exported)


@contextmanager
def _created(name: str) -> Iterator[IO[str]]:
    if name == "-":
        yield sys.stdout
        return
    try:
        # Mails are nobody else's business, and an older export may be all that is left of others.
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise click.UsageError(f"--export: {name!r} is there already: give another name") from exc
    except OSError as exc:
        raise click.UsageError(f"--export: {name!r} can't be written: {exc.strerror}") from exc
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            yield target
    except OSError as exc:
        raise click.ClickException(f"--export: {name!r} can't be written: {exc.strerror}") from exc
