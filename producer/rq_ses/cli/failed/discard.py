"""`rq-ses discard`: delete mails that failed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from rq_ses.cli.failed.groups import followed, may_ask, preview, tell_groups, tell_missing
from rq_ses.cli.failed.letters import choosing, chosen, reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.deadletter import Discarded
from rq_ses.text.figures import counted


@ends_with({OK: "all was deleted", INCOMPLETE: "some was not or it was interrupted", UNAVAILABLE: ""})
@click.command()
@click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
@choosing
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most N mails, the oldest failures first."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@reaching
def discard(
    *,
    job_ids: tuple[str, ...],
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    queues: tuple[str, ...],
    redis_url: str | None,
    config: str | None,
    ids_file: str | None,
    **filters: Any,
) -> None:
    """Delete failed mails for good: those named by JOB_ID, those the options choose, or all.

    What they say is gone, and so is why they failed: `rq-ses failed --export FILE` with the same options
    keeps it. An idempotency key is free afterwards. Each mail is deleted in one step, and only if it still is
    the failed mail that was looked at; interrupted, it may be run again.

    \b
    Examples:
      rq-ses discard --code Expired --dry-run
      rq-ses discard --code MessageRejected --older-than 30d --yes
      rq-ses discard 5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5
    """
    if not (yes or dry_run):
        may_ask(ids_file)
    wanted = chosen(job_ids, ids_file=ids_file, **filters)
    with reached(queues, redis_url, config) as letters:
        found = preview(letters, wanted)
        count = found.count if limit is None else min(found.count, limit)
        if dry_run:
            if as_json:
                output.echo(json.dumps({"would_discard": count, "unknown": found.unknown}))
            else:
                tell_groups(found)
            output.echo(f"{counted(count, 'mail', 'mails')} would be deleted", err=True)
        elif not count:
            output.echo("no failed mail to delete", err=True)
            if as_json:
                output.echo(json.dumps(asdict(Discarded())))
        absent = tell_missing(wanted, found.count + found.gone + found.foreign)
        if dry_run or not count:
            sys.exit(INCOMPLETE if absent else OK)
        if not yes:
            tell_groups(found, err=True)
            output.echo("(rq-ses failed --export FILE, with the same options, keeps what they say)", err=True)
            click.confirm(f"Delete {counted(count, 'mail', 'mails')} for good?", abort=True, err=True)
        result, whole = followed(
            "deleting",
            count,
            lambda told: letters.discard(wanted, limit=limit, on_progress=told),
            nothing=Discarded(),
            count=lambda done: done.discarded,
        )
    if as_json:
        output.echo(json.dumps(asdict(result)))
    doubt = f"; {result.unknown:,} of them SES may have accepted" if result.unknown else ""
    output.echo(f"{counted(result.discarded, 'mail', 'mails')} deleted{doubt}", err=True)
    if result.again:
        output.echo(f"{counted(result.again, 'mail', 'mails')} left: failed anew meanwhile", err=True)
    if not whole:
        output.echo("interrupted: run it again to go on", err=True)
    sys.exit(INCOMPLETE if absent or result.again or not whole else OK)
