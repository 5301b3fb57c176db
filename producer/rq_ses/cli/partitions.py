"""`rq-ses partitions`: bring the mails of a queue where they belong, when its partitions change."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import closing
from dataclasses import asdict

import click
from redis.exceptions import RedisError
from rich.progress import SpinnerColumn, TextColumn

from rq_ses import contract
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.cli.terminal.options import of_all_priorities, setting_options
from rq_ses.cli.terminal.progress import progress
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.keys import Keys
from rq_ses.mails.moving import Move, Moved, MoveRefused
from rq_ses.settings.producer import ProducerSettings, load_producer_settings
from rq_ses.text.figures import counted

_AGAIN = "nothing is claimed until it is run again and comes to its end"


class Prefixes(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """Prefixes of keys, with a comma between two."""

    name = "prefixes"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(Keys(one.strip()).prefix for one in value.split(","))
        except ValueError as exc:
            self.fail(str(exc).partition(": ")[2], param, ctx)


@ends_with({OK: "", INCOMPLETE: "some mails don't stand where they belong", UNAVAILABLE: ""})
@click.group(cls=WholeGroup)
def partitions() -> None:
    """Bring the mails of a queue where they belong, when its partitions change.

    \b
    Example:
      rq-ses partitions move --from '{mail0},{mail1}'
    """


@ends_with(
    {
        OK: "every mail stands where it belongs",
        INCOMPLETE: "some don't, or workers are there, or it was interrupted",
        UNAVAILABLE: "",
    }
)
@partitions.command()
@click.option(
    "--from", "origins", type=Prefixes(), required=True, metavar="PREFIXES",
    help="Where mails stand: the partitions as they were, or the prefix of a queue that had none.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@of_all_priorities
@setting_options(ProducerSettings, "redis_url", "config")
def move(
    *, origins: tuple[str, ...], as_json: bool, queue: str | None, redis_url: str | None, config: str | None
) -> None:
    """Move mails from where they stand to the partitions that RQ_SES_PARTITIONS names now.

    End workers and producers first. It may be interrupted, killed and run again: no mail is lost or doubled,
    and nothing is claimed until a run has come to its end. Keys, times to live and results stay as they are.

    \b
    Examples:
      rq-ses partitions move --from '{mail0},{mail1}'
      rq-ses partitions move --from rq
    """
    settings = load_producer_settings(config=config, redis_url=redis_url, queue=queue)
    moving = Move(
        settings.redis_url,
        origins=origins,
        partitions=settings.partitions,
        queues=contract.queue_names(settings.queue),
    )
    with reaching_redis(), closing(moving):
        for prefix in moving.unknown():
            output.echo(
                f"nothing of queue {settings.queue} stands under {prefix}: is it spelt right?", err=True
            )
        done = _followed(moving)
    if as_json:
        output.echo(json.dumps(asdict(done)))
    over = _over(done.over)
    output.echo(f"{counted(done.moved, 'mail', 'mails')} moved{over}", err=True)
    for prefix, job_id in done.conflicts:
        output.echo(
            f"{prefix}: job {job_id}: its key stands for another mail where it belongs: cancel one: "
            f"RQ_SES_PARTITIONS= RQ_KEY_PREFIX={shlex.quote(prefix)} rq-ses cancel {job_id}",
            err=True,
        )
    if done.conflicts:
        output.echo(f"{counted(len(done.conflicts), 'mail', 'mails')} left: {_AGAIN}", err=True)
        sys.exit(INCOMPLETE)


def _over(number: int) -> str:
    """Say how many of those that were moved had ended, and have lost their keys to other mails."""
    if number == 1:
        return "; 1 had ended and was dropped, its key stands for another mail now"
    return f"; {number:,} had ended and were dropped, their keys stand for other mails now" if number else ""


def _followed(moving: Move) -> Moved:
    """Move beside a progress bar; end the program where it can't be, or was interrupted."""
    with progress(SpinnerColumn(), TextColumn("moving: {task.completed} moved")) as bar:
        task = bar.add_task("moving", total=None)
        try:
            return moving.run(lambda done: bar.update(task, completed=done.moved))
        except MoveRefused as exc:
            output.echo(f"Error: {exc}", err=True)
        except KeyboardInterrupt:
            output.echo(f"interrupted: {_AGAIN}", err=True)
        except RedisError:
            output.echo(f"broken off: {_AGAIN}", err=True)
            raise
    sys.exit(INCOMPLETE)
