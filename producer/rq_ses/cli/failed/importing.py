"""`rq-ses import`: put exported mails back into a Redis that has lost them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from rq_ses.cli.failed.groups import reading
from rq_ses.cli.failed.options import reached
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.options import setting_options
from rq_ses.deadletter.archive import Restored
from rq_ses.settings.producer import ProducerSettings
from rq_ses.text.figures import counted


@ends_with({OK: "all is there", INCOMPLETE: "some lines could not be used", UNAVAILABLE: ""})
@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("--resend", is_flag=True, help="Into the queue, not into the failed registry.")
@click.option("--include-unknown", is_flag=True, help="With --resend: also mails that SES may have accepted.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@setting_options(ProducerSettings, "redis_url", "config")
def import_(
    *,
    file: str,
    resend: bool,
    include_unknown: bool,
    as_json: bool,
    redis_url: str | None,
    config: str | None,
) -> None:
    """Put mails back that `rq-ses failed --export` wrote to FILE (- for standard input).

    They are failed mails again, to be looked at and resent; with --resend they go straight into their queue.
    A job that is there already, whatever became of it, is left as it is: so a file may be imported twice.

    \b
    Examples:
      rq-ses import failed.jsonl
      rq-ses import --resend failed.jsonl
      gunzip -c failed.jsonl.gz | rq-ses import -
    """
    if include_unknown and not resend:
        raise click.UsageError("--include-unknown goes with --resend")
    with opened("FILE", file) as source, reached((), redis_url, config) as letters, reading() as bar:
        task = bar.add_task("importing", total=None)
        result = letters.restore(
            source,
            resend=resend,
            include_unknown=include_unknown,
            on_problem=lambda number, problem: output.echo(f"line {number}: {problem}", err=True),
            on_progress=lambda done: bar.update(task, completed=done.lines),
        )
    if as_json:
        output.echo(json.dumps(asdict(result)))
    _tell(result)
    sys.exit(INCOMPLETE if result.bad else OK)


def _tell(result: Restored) -> None:
    parts = [f"{result.failed:,} put back as failed", f"{result.queued:,} queued"]
    parts += [f"{result.exists:,} there already", f"{counted(result.bad, 'bad line', 'bad lines')}"]
    output.echo(", ".join(parts), err=True)
    if result.unknown:
        output.echo(
            f"{counted(result.unknown, 'mail', 'mails')} not queued: SES may have accepted them "
            "(--include-unknown queues them, too)",
            err=True,
        )
