"""`rq-ses breaker`: see whether an SES account's mails go out, stop them all, and let them go again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import click
from redis import Redis
from rich.table import Table
from rich.text import Text

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.exits import OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.errors import SettingsError
from rq_ses.gate import (
    REASON_LIMIT,
    GateState,
    close_breaker,
    gates,
    is_there,
    open_breaker,
    read_gate,
)
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.settings.gate import GateSettings, load_gate_settings
from rq_ses.status.view import UNKNOWN
from rq_ses.status.workers import served_accounts
from rq_ses.text.figures import rate
from rq_ses.text.plaintext import one_line

TIMEOUT: Final = 5.0
"""Seconds after which Redis counts as away."""

_NONE: Final = "no bound"
_LISTED: Final = 20

_ENDS: Final = ends_with({OK: "", UNAVAILABLE: ""})


_options = setting_options(GateSettings, "account", "aws_region", "redis_url", "config")


@_ENDS
@click.group(cls=WholeGroup)
def breaker() -> None:
    """See, open and close the breaker of an SES account, which all its workers obey.

    The account is found as `rq-ses status` finds it; without a region it is the only one that there is. One
    that no worker has gone by is refused, and those that there are are named: exit code 3.

    \b
    Examples:
      rq-ses breaker show
      rq-ses breaker open --reason "wrong prices in the newsletter"
      rq-ses breaker close
    """


@_ENDS
@breaker.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON.")
@_options
def show(*, as_json: bool, **options: Any) -> None:
    """Show how the account's gate stands: its breaker, its send rate, its daily quota.

    \b
    Examples:
      rq-ses breaker show
      rq-ses breaker show --json | jq -r .breaker

    Nothing is changed. A rate or quota of null is unknown, or unbounded; moments are epoch seconds.
    """
    settings = load_gate_settings(**options)
    with _redis(settings) as partitions:
        state = read_gate(partitions.own, *_chosen(partitions.own, settings))
        served = any((state.account, state.region) in served_accounts(client) for client in partitions)
    if as_json:
        output.echo(json.dumps(asdict(state)))
    else:
        _print(state, served=served)


@_ENDS
@breaker.command("open")
@click.option("--reason", default="", metavar="TEXT", help="Shown wherever the breaker's state is.")
@_options
def open_(*, reason: str, **options: Any) -> None:
    """Stop all sending of the account: mails stay queued, untouched, until `rq-ses breaker close`.

    \b
    Example:
      rq-ses breaker open --reason "wrong prices in the newsletter"

    What is being sent at this moment ends as usual. No probe is made: only a hand closes it again.
    """
    settings = load_gate_settings(**options)
    with _redis(settings) as partitions:
        gate = _chosen(partitions.own, settings)
        open_breaker(partitions.own, *gate, one_line(reason, REASON_LIMIT))
    output.echo(f"the breaker of {_name(gate)} is open: nothing is sent until it is closed", err=True)


@_ENDS
@breaker.command()
@_options
def close(**options: Any) -> None:
    """Let the account's mails go out again, whoever opened the breaker; workers notice within a second.

    \b
    Example:
      rq-ses breaker close

    If its cause still lasts, the next answer of SES opens it again.
    """
    settings = load_gate_settings(**options)
    with _redis(settings) as partitions:
        gate = _chosen(partitions.own, settings)
        was_open = close_breaker(partitions.own, *gate)
    output.echo(
        f"the breaker of {_name(gate)} {'is' if was_open else 'was'} closed" + " already" * (not was_open),
        err=True,
    )


@contextmanager
def _redis(settings: GateSettings) -> Iterator[Partitions]:
    server = Location(settings.redis_url, None)
    connected = Partitions.at(server, settings.partitions, socket_timeout=TIMEOUT, connect_timeout=TIMEOUT)
    with reaching_redis(), connected as partitions:
        yield partitions


def _chosen(connection: Redis, settings: GateSettings) -> tuple[str, str]:
    """Return account and region of the gate that is meant; without a region the only one that there is.

    Raises SettingsError, naming those that there are, if it can't be known or isn't there: a breaker that no
    worker goes by stops nothing.
    """
    account, region = settings.account, settings.aws_region
    if region and is_there(connection, account, region):
        return account, region
    known = gates(connection)
    if region is None:
        fit = [gate for gate in known if gate[0] == account or not settings.origin("account")]
        if len(fit) == 1:
            output.echo(f"no region is set: taking the only account there is, {_name(fit[0])}", err=True)
            return fit[0]
        problem = f"AWS_REGION: is not set, and {'several accounts' if fit else 'no account'} could be meant"
    else:
        problem = f"no worker has gone by the account {_name((account, region))} here"
    if not known:
        remedy = "there is none in this Redis: check RQ_SES_REDIS_URL, or start a worker"
    else:
        remedy = f"give --account and --region of one that there is: {', '.join(map(_name, known[:_LISTED]))}"
    raise SettingsError([f"{problem}: {remedy}"])


def _name(gate: tuple[str, str]) -> str:
    account, region = gate
    return f"{account} in {region}"


def _print(state: GateState, *, served: bool) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(state, served=served):
        table.add_row(name, Text(value))
    console(piped=200).print(table)


def _rows(state: GateState, *, served: bool) -> Iterator[tuple[str, str]]:
    yield "account", f"{state.account} in {state.region}"
    yield "breaker", state.breaker + (", by hand" if state.manual else "")
    if state.breaker != "closed":
        yield "since", _since(state)
        yield "reason", state.reason or "none was given"
        yield "next probe", _next_probe(state, served=served)
    elif state.closed_at is not None:
        yield "last closed", f"{_clock(state.closed_at)}, opened for: {state.reason or 'no reason given'}"
    yield "send rate", f"{_rate(state)}, {state.rate_in_use:,.1f} in use"
    if state.max_send_rate is not None and state.rate != state.max_send_rate:
        yield "", f"lowered after a 429 from {rate(state.max_send_rate)}"
    yield "daily quota", _quota(state)


def _since(state: GateState) -> str:
    seconds = state.open_for
    return "?" if state.since is None or seconds is None else f"{_clock(state.since)} ({seconds:.0f} s ago)"


def _next_probe(state: GateState, *, served: bool) -> str:
    if state.manual:
        return "none: rq-ses breaker close"
    if not served:
        return "none: no worker of this account runs"
    if state.probe:
        return f"being made, with job {state.probe}"
    seconds = state.next_probe_in
    return f"in {seconds:.0f} s" if seconds else "with the next mail"


def _rate(state: GateState) -> str:
    if state.rate is None:
        return _NONE if state.rate_is_known else UNKNOWN
    return rate(state.rate)


def _quota(state: GateState) -> str:
    if state.quota is None:
        return _NONE if state.quota_is_known else UNKNOWN
    left = "?" if state.quota_left is None else f"{state.quota_left:,.0f}"
    return f"{left} of {state.quota:,.0f} recipients left"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
