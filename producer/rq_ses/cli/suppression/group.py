"""`rq-ses suppression`: see and change the list of addresses that no mail is sent to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

import click

from rq_ses.cli.group import missing
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.settings.producer import ProducerSettings, load_producer_settings
from rq_ses.suppression import Suppression

_GROUP: Final = "rq_ses.commands.suppression"

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Subcommands(WholeGroup):
    """Those that are found as the commands of `rq-ses` are: one comes with the worker."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(point.name for point in entry_points(group=_GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        for point in entry_points(group=_GROUP, name=cmd_name):
            try:
                found: click.Command = point.load()
            except ModuleNotFoundError as exc:
                return missing(f"suppression {cmd_name}", exc)
            return found
        return None


@ends_with({OK: "", INCOMPLETE: "", UNAVAILABLE: ""})
@click.group(cls=Subcommands)
def suppression() -> None:
    """See and change the list of addresses that no mail is sent to.

    It is one list for all queues and partitions. A worker asks it when it takes a mail; what becomes of a
    mail to an address on it, RQ_SES_SUPPRESSED says.

    \b
    Examples:
      rq-ses suppression add ann@example.com --text "asked by phone"
      rq-ses suppression list --reason complaint
      rq-ses suppression remove ann@example.com
    """


def reaching(command: _Command) -> _Command:
    """Give a command the options that say where the list is."""
    return setting_options(ProducerSettings, "redis_url", "config")(command)


@contextmanager
def reached(redis_url: str | None, config: str | None) -> Iterator[Suppression]:
    """Open the list; end the program when Redis doesn't answer."""
    settings = load_producer_settings(config=config, redis_url=redis_url)
    with Suppression(settings.redis_url) as found, reaching_redis():
        yield found
