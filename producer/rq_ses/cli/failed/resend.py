"""`rq-ses resend`: put mails that failed back into their queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, NoReturn

import click

from rq_ses.cli.failed.groups import tell_groups
from rq_ses.cli.failed.moving import Manner, Plan, end, followed, planned, tell_again, tell_partly
from rq_ses.cli.failed.options import asking, at_most, choosing, chosen, edits, reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.deadletter import DeadLetters, EditRefused, Filter, Resent
from rq_ses.text.figures import counted

_INVALID: Final = "no valid message, or a campaign's, whose terms can't be changed for some of its entries"


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
    help="Change the mails on the way: sender, reply_to, configuration_set, tenant, feedback_to, tags.NAME, "
    "headers.NAME, list_management.topic, …, and of mails named by id also to, cc, bcc, subject; may be "
    "repeated; an empty VALUE takes the field away.",
)
@at_most
@click.option(
    "--rate",
    type=click.FloatRange(min=0, max=1e6, min_open=True),
    metavar="N",
    help="N mails a second, evenly.",
)
@asking("resent")
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
    manner = Manner(limit, dry_run, yes, as_json)
    manner.check(ids_file)
    wanted = chosen(job_ids, ids_file=ids_file, **filters)
    terms = _Terms(edits(changes), rate, include_unknown)
    with reached(queues, redis_url, config) as letters, _edits_named():
        _resend(letters, wanted, terms, manner)


@dataclass(frozen=True, slots=True)
class _Terms:
    """On which terms mails are resent: with which changes, how many a second, and those in doubt, too."""

    edits: Mapping[str, Any]
    rate: float | None
    include_unknown: bool

    def left(self, unknown: int) -> int:
        """Return how many of so many mails that SES may have accepted are left."""
        return 0 if self.include_unknown else unknown


def _resend(letters: DeadLetters, wanted: Filter, terms: _Terms, manner: Manner) -> NoReturn:
    plan = planned(letters, wanted, manner.limit, leave_unknown=not terms.include_unknown)
    if terms.edits:
        # Moves nothing, and finds what can't be changed before anybody is asked.
        letters.resend(wanted, limit=0, include_unknown=terms.include_unknown, edits=terms.edits)
    if manner.dry_run:
        plan.tell(manner, "resend", "resent")
    elif plan.count and not manner.yes:
        _ask(plan, terms)
    if manner.dry_run or not plan.count:
        _tell_unknown(terms.left(plan.found.unknown))
        absent = plan.tell_missing()
        if not manner.dry_run:
            manner.tell_result(Resent(unknown=plan.found.unknown), "no failed mail to resend")
        end(left=absent)
    result, whole = followed(
        "resending",
        plan.count,
        lambda told: letters.resend(wanted, limit=manner.limit, on_progress=told, **asdict(terms)),
        nothing=Resent(),
        count=lambda done: done.resent,
    )
    manner.tell_result(result, f"{counted(result.resent, 'mail', 'mails')} resent")
    left = _tell_left(result)
    absent = plan.tell_missing()
    end(left=left or absent, whole=whole)


@contextmanager
def _edits_named() -> Iterator[None]:
    """Say of edits that are refused which --set they are."""
    try:
        yield
    except EditRefused as exc:
        raise click.UsageError("\n       ".join(f"--set {problem}" for problem in exc.problems)) from exc


def _ask(plan: Plan, terms: _Terms) -> None:
    tell_groups(plan.found, err=True)
    _tell_unknown(terms.left(plan.found.unknown))
    click.confirm(f"Resend {counted(plan.count, 'mail', 'mails')}?", abort=True, err=True)


def _tell_left(result: Resent) -> bool:
    if result.invalid:
        output.echo(f"{counted(result.invalid, 'mail', 'mails')} left: {_INVALID}", err=True)
    tell_again(result.again)
    tell_partly(result.partly)
    _tell_unknown(result.unknown)
    return bool(result.invalid or result.again or result.partly)


def _tell_unknown(count: int) -> None:
    if count:
        mails = counted(count, "mail", "mails")
        they, them = ("it", "it") if count == 1 else ("they", "them")
        output.echo(
            f"{mails} left: SES may have accepted {them} (--include-unknown resends {them}, too; "
            f"{they} may arrive twice)",
            err=True,
        )
