"""`rq-ses import`: put exported mails back into a Redis that has lost them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import click

from rq_ses.cli.failed.groups import progress
from rq_ses.cli.failed.letters import reached
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK
from rq_ses.cli.terminal.options import setting_options
from rq_ses.settings.producer import ProducerSettings
from rq_ses.text.figures import counted
from rq_ses.text.textfile import NotText


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

    Exit codes: 0 all is there, 1 some lines could not be used, 2 bad command line, 3 bad settings,
    4 no Redis.
    """
    if include_unknown and not resend:
        raise click.UsageError("--include-unknown goes with --resend")
    with _opened(file) as source, reached((), redis_url, config) as letters, progress() as bar:
        task = bar.add_task("importing", total=None)
        try:
            result = letters.restore(
                source,
                resend=resend,
                include_unknown=include_unknown,
                on_problem=lambda number, problem: output.echo(f"line {number}: {problem}", err=True),
                on_progress=lambda done: bar.update(task, completed=done.lines),
            )
        except NotText as exc:
            raise click.UsageError(f"FILE: {file!r} can't be read: {exc}") from exc
    if as_json:
        output.echo(json.dumps(asdict(result)))
    parts = [f"{result.failed:,} put back as failed", f"{result.queued:,} queued"]
    parts += [f"{result.exists:,} there already", f"{counted(result.bad, 'bad line', 'bad lines')}"]
    output.echo(", ".join(parts), err=True)
    if result.unknown:
        output.echo(
            f"{counted(result.unknown, 'mail', 'mails')} not queued: SES may have accepted them "
            "(--include-unknown queues them, too)",
            err=True,
        )
    sys.exit(INCOMPLETE if result.bad else OK)


def _opened(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as exc:
        raise click.UsageError(f"FILE: {name!r} can't be read: {exc.strerror}") from exc
