"""`rq-ses status`: how queues, accounts and workers stand, on one screen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from rq_ses import contract
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.options import of_all_priorities, setting_options
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.redisurl import masked
from rq_ses.server.refusal import ELSE, in_words
from rq_ses.settings.gate import GateSettings, load_gate_settings
from rq_ses.status.rates import Rates, rates_between
from rq_ses.status.snapshot import Snapshot, Untold
from rq_ses.status.view import screen, status_object
from rq_ses.status.whole import read_whole

TIMEOUT: Final = 5.0
"""Seconds after which Redis counts as away."""

_SECONDS: Final = click.FloatRange(min=0.1, max=3600)


@ends_with(
    {
        OK: "shown",
        INCOMPLETE: "some of it is not known (stderr says what)",
        UNAVAILABLE: "",
    }
)
@click.command()
@click.option(
    "--watch", type=_SECONDS, is_flag=False, flag_value=2.0, metavar="[S]",
    help="Show it again every S seconds (2), until Ctrl-C.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON a line.")
@click.option(
    "--sample", type=click.FloatRange(min=0, max=3600), default=1.0, show_default=True, metavar="S",
    help="Seconds between the two readings that what happens a second is told from; 0 leaves that out.",
)  # fmt: skip
@click.option(
    "--mails", type=click.IntRange(min=0, max=1000), default=10, show_default=True, metavar="N",
    help="How many of the mails that are being sent to list, those first that take longest.",
)  # fmt: skip
@of_all_priorities
@setting_options(GateSettings, "aws_region", "account", "redis_url", "config")
def status(*, watch: float | None, as_json: bool, sample: float, mails: int, **options: Any) -> None:
    """Show queues, send rate, breaker, workers, what happens a second, and which mails are being sent.

    \b
    Examples:
      rq-ses status
      rq-ses status --watch
      rq-ses status --json | jq '.queues[] | {name, queued, oldest}'

    Looking changes nothing, and needs Redis alone. Without --region, the accounts are shown whose workers are
    there. In JSON what isn't known is null; moments are epoch seconds.
    """
    settings = load_gate_settings(**options)
    reader = _Reader(settings, mails)
    with reader.connected():
        if watch is None:
            _show(reader, sample, as_json=as_json)
        else:
            _watch(reader, watch, as_json=as_json)


class _Reader:
    def __init__(self, settings: GateSettings, mails: int) -> None:
        self._queues = contract.queue_names(settings.queue)
        region = settings.aws_region
        self._account = (settings.account, region) if region else None
        self._mails = mails
        server = Location(settings.redis_url, None)
        self._partitions = Partitions.at(
            server, settings.partitions, socket_timeout=TIMEOUT, connect_timeout=TIMEOUT
        )
        parts = f" in {len(self._partitions)} partitions" if self._partitions.prefixes else ""
        self.title = f"rq-ses at {masked(settings.redis_url)}{parts}"

    def read(self) -> Snapshot:
        return read_whole(
            self._partitions, self._queues, account=self._account, mails=self._mails, partly=True
        )

    @contextmanager
    def connected(self) -> Iterator[None]:
        with reaching_redis(), self._partitions:
            yield


def _show(reader: _Reader, sample: float, *, as_json: bool) -> None:
    first = reader.read()
    rates = None
    if sample:
        time.sleep(sample)
        before, first = first, reader.read()
        rates = rates_between(before, first)
    if as_json:
        output.echo(json.dumps(status_object(first, rates), allow_nan=False))
    else:
        console().print(screen(first, rates, title=reader.title))
    for line in _refusals(first):
        output.echo(f"Error: {line}", err=True)
    if first.refused:
        sys.exit(INCOMPLETE)


def _watch(reader: _Reader, pause: float, *, as_json: bool) -> None:
    drawn = console()
    on_screen = drawn.is_terminal and not drawn.is_dumb_terminal and not as_json
    live = Live(console=drawn, screen=True, auto_refresh=False) if on_screen else None
    shown: RenderableType = Text(reader.title)
    try:
        before = reader.read()
        if live:
            live.start()
            shown = _screen(before, None, reader.title)
            live.update(shown, refresh=True)
        while not output.broken():  # looking changes nothing, and nobody looks any more
            time.sleep(pause)
            try:
                after = reader.read()
            except RedisError as exc:
                _tell(live, Text(f"{in_words(exc)}; looking again", style="bold red"), shown)
                continue
            rates = rates_between(before, after)
            before = after
            if as_json:
                output.echo(json.dumps(status_object(after, rates), allow_nan=False))
                continue
            shown = _screen(after, rates, reader.title)
            if live:
                live.update(shown, refresh=True)
            else:
                drawn.print(shown)
    except KeyboardInterrupt:
        return
    finally:
        if live:
            live.stop()


def _screen(snapshot: Snapshot, rates: Rates | None, title: str) -> RenderableType:
    refused = [Text(line, style="red") for line in _refusals(snapshot)]
    return Group(*refused, screen(snapshot, rates, title=title))


def _refusals(snapshot: Snapshot) -> list[str]:
    """Return a line for each remedy, with all that Redis refused to tell until then."""
    grouped: dict[str, list[Untold]] = {}
    for untold in snapshot.refused:
        grouped.setdefault(untold.remedy or ELSE, []).append(untold)
    return [
        f"{', '.join(map(str, untold))}: {untold[0].reason}: {remedy}" for remedy, untold in grouped.items()
    ]


def _tell(live: Live | None, text: Text, shown: RenderableType) -> None:
    """Tell of trouble, above what was shown last."""
    if live:
        live.update(Group(text, shown), refresh=True)
    else:
        output.echo(text.plain, err=True)
