"""`rq-ses discard`: delete mails that failed."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from rq_ses.cli.failed.groups import tell_groups
from rq_ses.cli.failed.moving import Manner, Plan, end, followed, planned, tell_again, tell_partly
from rq_ses.cli.failed.options import asking, at_most, choosing, chosen, reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.deadletter import DeadLetters, Discarded, Filter
from rq_ses.text.figures import counted


@ends_with({OK: "all was deleted", INCOMPLETE: "some was not or it was interrupted", UNAVAILABLE: ""})
@click.command()
@click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
@choosing
@at_most
@asking("deleted")
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
    manner = Manner(limit, dry_run, yes, as_json)
    manner.check(ids_file)
    wanted = chosen(job_ids, ids_file=ids_file, **filters)
    with reached(queues, redis_url, config) as letters:
        _discard(letters, wanted, manner)


def _discard(letters: DeadLetters, wanted: Filter, manner: Manner) -> NoReturn:
    plan = planned(letters, wanted, manner.limit, leave_unknown=False)
    if manner.dry_run:
        plan.tell(manner, "discard", "deleted")
    elif not plan.count:
        manner.tell_result(Discarded(), "no failed mail to delete")
    absent = plan.tell_missing()
    if manner.dry_run or not plan.count:
        end(left=absent)
    if not manner.yes:
        _ask(plan)
    result, whole = followed(
        "deleting",
        plan.count,
        lambda told: letters.discard(wanted, limit=manner.limit, on_progress=told),
        nothing=Discarded(),
        count=lambda done: done.discarded,
    )
    doubt = f"; {result.unknown:,} of them SES may have accepted" if result.unknown else ""
    manner.tell_result(result, f"{counted(result.discarded, 'mail', 'mails')} deleted{doubt}")
    tell_again(result.again)
    tell_partly(result.partly)
    end(left=absent or bool(result.again or result.partly), whole=whole)


def _ask(plan: Plan) -> None:
    tell_groups(plan.found, err=True)
    output.echo("(rq-ses failed --export FILE, with the same options, keeps what they say)", err=True)
    click.confirm(f"Delete {counted(plan.count, 'mail', 'mails')} for good?", abort=True, err=True)
