"""`rq-ses suppression sync`: take over what stands on SES's own suppression list."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import click
from rich.progress import SpinnerColumn, TextColumn

from rq_ses.cli.failed.options import Since
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.progress import progress
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.suppression import Suppression
from rq_ses.text.figures import counted
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.lookups.suppression import SES_REASONS, SesReason, Wanted
from rq_ses_worker.ses.outcome import hinted
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings
from rq_ses_worker.suppression.sync import Synced, sync


@ends_with(
    {
        OK: "all is on our list, or would be",
        INCOMPLETE: "SES doesn't tell, or not to the end",
        UNAVAILABLE: "",
    }
)
@click.command("sync")
@click.option("--dry-run", is_flag=True, help="Only count what would be added.")
@click.option(
    "--reason", "reasons", type=click.Choice(SES_REASONS, case_sensitive=False), multiple=True,
    help="SES's reason; may be repeated; by default both.",
)  # fmt: skip
@click.option(
    "--newer-than", "since", type=Since(), metavar="AGE|MOMENT",
    help="Put on SES's list within this time (30m, 2h, 3d), or since this moment (ISO 8601).",
)  # fmt: skip
@click.option("--tenant", metavar="NAME", help="The list of this tenant, in place of the account's.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@setting_options(WorkerSettings, "redis_url", "config", "aws_region", "base_url", "allow_http")
@setting_options(WorkerSettings, "proxy", "ca_bundle")
def sync_(
    *,
    dry_run: bool,
    reasons: tuple[str, ...],
    since: timedelta | datetime | None,
    tenant: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Put the addresses of SES's own suppression list onto ours, and leave what is there as it is.

    It signs with the worker's credentials, which need ses:ListSuppressedDestinations. Nothing is changed in
    SES, and nothing is taken off our list. It may be interrupted and run again, or run every night.

    \b
    Examples:
      rq-ses suppression sync --dry-run
      rq-ses suppression sync --newer-than 2d
    """
    wanted = Wanted([cast(SesReason, reason) for reason in reasons], _moment(since), tenant)
    settings = load_worker_settings(**options)
    with settings.client() as client, Suppression(settings.redis_url) as ours, reaching_redis():
        result, problem = _followed(client, ours, wanted, dry_run=dry_run)
    if as_json:
        output.echo(json.dumps({"seen": result.seen, "unusable": result.unusable, **_counts(result)}))
    _tell(result, dry_run=dry_run)
    if problem:
        output.echo(f"Error: {problem}", err=True)
        sys.exit(INCOMPLETE)


def _moment(since: timedelta | datetime | None) -> datetime | None:
    return datetime.now(UTC) - since if isinstance(since, timedelta) else since


def _followed(
    client: SesClient, ours: Suppression, wanted: Wanted, *, dry_run: bool
) -> tuple[Synced, str | None]:
    """Take over beside a progress bar; return what was done, and why it isn't all."""
    result = Synced()
    with progress(SpinnerColumn(), TextColumn("asking SES: {task.completed} addresses")) as bar:
        task = bar.add_task("asking SES", total=None)

        def told(done: Synced) -> None:
            nonlocal result
            result = done
            bar.update(task, completed=done.seen)

        try:
            return sync(client, ours, wanted, dry_run=dry_run, on_progress=told), None
        except AccountRefused as exc:
            return result, hinted(f"SES doesn't tell its suppression list: {exc}", exc.outcome)
        except KeyboardInterrupt:
            return result, "interrupted: run it again to go on"


def _counts(result: Synced) -> dict[str, int]:
    done = result.done
    return {name: getattr(done, name) for name in ("added", "changed", "known", "excepted")}


def _tell(result: Synced, *, dry_run: bool) -> None:
    done = result.done
    verb = "would be added" if dry_run else "added"
    parts = [f"{counted(result.seen, 'address', 'addresses')} of SES's: {done.added:,} {verb}"]
    parts.append(f"{done.known:,} there already")
    if left := result.unusable + done.excepted:
        parts.append(f"{left:,} left out, which no mail can have or tests send to")
    output.echo(", ".join(parts), err=True)
