"""`rq-ses resend`: put mails that failed back into their queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from rq_ses.cli.failed.groups import followed, may_ask, preview, tell_groups, tell_missing
from rq_ses.cli.failed.letters import choosing, chosen, edits, reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.deadletter import DeadLetters, EditRefused, Filter, Groups, Resent
from rq_ses.text.figures import counted


@ends_with(
    {
        OK: "all was resent that may be",
        INCOMPLETE: "some was not or it was interrupted",
        UNAVAILABLE: "",
    }
)
@click.command()
@click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
@choosing
@click.option("--include-unknown", is_flag=True, help="Also mails that SES may have accepted.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change the mails on the way: sender, reply_to, configuration_set, tags.NAME, headers.NAME, and of "
    "mails named by id also to, cc, bcc, subject; may be repeated; an empty VALUE takes the field away.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most N mails, the oldest failures first."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, max=1e6, min_open=True),
    metavar="N",
    help="N mails a second, evenly.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be resent.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@reaching
def resend(
    *,
    job_ids: tuple[str, ...],
    include_unknown: bool,
    changes: tuple[str, ...],
    limit: int | None,
    rate: float | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    queues: tuple[str, ...],
    redis_url: str | None,
    config: str | None,
    ids_file: str | None,
    **filters: Any,
) -> None:
    """Put failed mails back into their queue: those named by JOB_ID, those the options choose, or all.

    Each mail is moved in one step, so it may be interrupted and run again, and run beside rq-dashboard:
    nothing is passed over, nothing is doubled. Mails that SES may have accepted stay, unless
    --include-unknown is given.

    \b
    Examples:
      rq-ses resend --code MessageRejected --dry-run
      rq-ses resend --code MessageRejected --newer-than 1d --rate 10
      rq-ses resend --sender-domain old.example --set sender=me@new.example --yes
      rq-ses resend 5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5 --set to=anna@example.com
    """
    if not (yes or dry_run):
        may_ask(ids_file)
    wanted, new = chosen(job_ids, ids_file=ids_file, **filters), edits(changes)
    with reached(queues, redis_url, config) as letters:
        try:
            found, count = _preview(letters, wanted, new, limit, include_unknown=include_unknown)
            if dry_run:
                _tell_plan(found, count, as_json=as_json)
            elif count and not yes:
                _ask(found, count, include_unknown=include_unknown)
            if dry_run or not count:
                _tell_unknown(0 if include_unknown else found.unknown)
                absent = tell_missing(wanted, found.count + found.gone + found.foreign)
                if not dry_run:
                    output.echo("no failed mail to resend", err=True)
                    if as_json:
                        output.echo(json.dumps(asdict(Resent(unknown=found.unknown))))
                sys.exit(INCOMPLETE if absent else OK)
            result, whole = followed(
                "resending",
                count,
                lambda told: letters.resend(
                    wanted,
                    limit=limit,
                    rate=rate,
                    include_unknown=include_unknown,
                    edits=new,
                    on_progress=told,
                ),
                nothing=Resent(),
                count=lambda done: done.resent,
            )
        except EditRefused as exc:
            raise click.UsageError("\n       ".join(f"--set {problem}" for problem in exc.problems)) from exc
    if as_json:
        output.echo(json.dumps(asdict(result)))
    output.echo(f"{counted(result.resent, 'mail', 'mails')} resent", err=True)
    left = _tell_left(result)
    _tell_unknown(result.unknown)
    left = tell_missing(wanted, found.count + found.gone + found.foreign) or left
    if not whole:
        output.echo("interrupted: run it again to go on", err=True)
    sys.exit(INCOMPLETE if left or not whole else OK)


def _preview(
    letters: DeadLetters, wanted: Filter, new: Mapping[str, Any], limit: int | None, *, include_unknown: bool
) -> tuple[Groups, int]:
    """Return the groups that are meant and how many mails would be resent. Raises EditRefused."""
    found = preview(letters, wanted)
    if new:
        letters.resend(wanted, limit=0, include_unknown=include_unknown, edits=new)
    count = found.count - (0 if include_unknown else found.unknown)
    return found, count if limit is None else min(count, limit)


def _tell_plan(found: Groups, count: int, *, as_json: bool) -> None:
    if as_json:
        output.echo(json.dumps({"would_resend": count, "unknown": found.unknown}))
    else:
        tell_groups(found)
    output.echo(f"{counted(count, 'mail', 'mails')} would be resent", err=True)


def _ask(found: Groups, count: int, *, include_unknown: bool) -> None:
    tell_groups(found, err=True)
    _tell_unknown(0 if include_unknown else found.unknown)
    click.confirm(f"Resend {counted(count, 'mail', 'mails')}?", abort=True, err=True)


def _tell_left(result: Resent) -> bool:
    if result.invalid:
        output.echo(f"{counted(result.invalid, 'mail', 'mails')} left: no valid message", err=True)
    if result.again:
        output.echo(f"{counted(result.again, 'mail', 'mails')} left: failed anew meanwhile", err=True)
    return bool(result.invalid or result.again)


def _tell_unknown(count: int) -> None:
    if count:
        mails = counted(count, "mail", "mails")
        they, them = ("it", "it") if count == 1 else ("they", "them")
        output.echo(
            f"{mails} left: SES may have accepted {them} (--include-unknown resends {them}, too; "
            f"{they} may arrive twice)",
            err=True,
        )
