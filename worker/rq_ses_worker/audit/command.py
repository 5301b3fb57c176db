"""`rq-ses audit`: find jobs that nobody would ever send or show, and put them back."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any, Final, TypeVar

import click
from redis import Redis
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn

from rq_ses import contract
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.progress import progress
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.keys import keys_of
from rq_ses.server.partitions import Partitions
from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.audit.campaigns.audit import CampaignAudit, CampaignReport
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.server.connection import connect_partitions
from rq_ses_worker.settings.audit import AuditSettings, load_audit_settings

_Found = TypeVar("_Found", Report, CampaignReport)

_READ: Final = "{task.description}: {task.fields[read]} jobs read"


@ends_with(
    {
        OK: "nothing is wrong, or all was repaired",
        INCOMPLETE: "something is wrong",
        UNAVAILABLE: "",
    }
)
@click.command()
@click.option("--repair", is_flag=True, help="Put back what stands wrong, or fail it with a clear line.")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON a line.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between the two looks at a job before it counts as wrong.",
)
@setting_options(AuditSettings, "on_unknown", "redis_url", "queue", "config")
def audit(*, repair: bool, as_json: bool, wait: float, **options: Any) -> None:
    """Find jobs that stand nowhere or where they don't belong, and with --repair put them back.

    Safe beside running workers: a job that a worker may hold is never touched, and nothing that stands
    somewhere is queued a second time. A line a job is printed, and one for each campaign whose record, jobs
    and terms don't fit together.

    \b
    Examples:
      rq-ses audit
      rq-ses audit --repair --on-unknown hold
      rq-ses audit --json | jq -r .job_id
    """
    settings = load_audit_settings(**options)
    policy = RetryPolicy(on_unknown=settings.on_unknown, max_doubtful=settings.max_doubtful)
    found = open_ = strays = 0
    with (
        reaching_redis(),
        connect_partitions(settings.redis_url, settings.partitions) as partitions,
        progress(SpinnerColumn(), TextColumn(_READ)) as bar,
    ):
        for connection, queue in product(partitions, contract.queue_names(settings.queue)):
            prefix = keys_of(connection).prefix if partitions.prefixes else ""
            task = bar.add_task(f"{queue} in {prefix}" if prefix else queue, total=None, read=0)
            tell = partial(_read, bar, task)
            home = partial(_home, partitions, prefix)
            looking = Audit(connection, queue, policy, wait=wait, tell=tell, home=home)
            for report in _named(partitions, connection, looking.run(repair=repair)):
                found += 1
                strays += bool(report.home)
                open_ += not report.done
                output.echo(_json(report, queue, prefix) if as_json else _line(report, prefix))
        for one, prefix in _campaigns(partitions, wait, bar, repair=repair):
            found += 1
            open_ += not one.done
            output.echo(_campaign_json(one, prefix) if as_json else _campaign_line(one, prefix))
    _tell_found(settings.queue, found, open_, advised=not repair and strays != open_)
    _tell_strays(strays, partitions)
    sys.exit(INCOMPLETE if open_ else OK)


def _campaigns(
    partitions: Partitions, wait: float, bar: Progress, *, repair: bool
) -> Iterator[tuple[CampaignReport, str]]:
    """Yield what doesn't fit together of campaigns, each with its partition's prefix."""
    for connection in partitions:
        prefix = keys_of(connection).prefix if partitions.prefixes else ""
        task = bar.add_task(f"campaigns in {prefix}" if prefix else "campaigns", total=None, read=0)
        looking = CampaignAudit(connection, wait=wait, tell=partial(_read, bar, task))
        for report in _named(partitions, connection, looking.run(repair=repair)):
            yield report, prefix


def _tell_found(queue: str, found: int, left: int, *, advised: bool) -> None:
    """Say in one line what was found, and how much of it is left."""
    if not found:
        output.echo(f"every job of {queue} stands where it belongs", err=True)
        return
    repaired = f"{found - left} repaired" if left else "all repaired"
    output.echo(f"{found} found, {repaired}{': --repair puts them back' if advised else ''}", err=True)


def _named(partitions: Partitions, client: Redis, reports: Iterator[_Found]) -> Iterator[_Found]:
    """Yield reports; an error of Redis names the partition."""
    with partitions.naming(client):
        yield from reports


def _tell_strays(strays: int, partitions: Partitions) -> None:
    """Say how mails come to the partitions they belong to."""
    if strays:
        old = shlex.quote(",".join(partitions.prefixes))
        where = "belongs" if strays == 1 else "belong"
        output.echo(f"{strays} {where} to another partition: rq-ses partitions move --from {old}", err=True)


def _home(partitions: Partitions, prefix: str, job_id: bytes) -> str:
    """Return the prefix of the partition that a mail belongs to, if it is another one than `prefix`."""
    if not partitions.prefixes or not contract.JOB_ID.fullmatch(job_id):
        return ""
    home = keys_of(partitions.of(job_id.decode())).prefix
    return "" if home == prefix else home


def _read(bar: Progress, task: TaskID, read: int) -> None:
    bar.update(task, read=read)


def _line(report: Report, prefix: str) -> str:
    where = f" ({prefix})" if prefix else ""
    return f"{report.job_id}{where}: {report.found}{f' → {report.done}' if report.done else ''}"


def _campaign_line(report: CampaignReport, prefix: str) -> str:
    where = f" ({prefix})" if prefix else ""
    return f"{report.what}{where}: {report.found}{f' → {report.done}' if report.done else ''}"


def _campaign_json(report: CampaignReport, prefix: str) -> str:
    kind, _, name = report.what.partition(" ")
    found = {kind: name, "found": report.found, "done": report.done or None}
    return json.dumps({**found, "partition": prefix} if prefix else found)


def _json(report: Report, queue: str, prefix: str) -> str:
    found = {"job_id": report.job_id, "queue": queue, "found": report.found, "done": report.done or None}
    return json.dumps({**found, "partition": prefix} if prefix else found)
