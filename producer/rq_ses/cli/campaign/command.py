"""`rq-ses campaign` and its commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.cli.terminal.rows import tell_labelled
from rq_ses.mails.campaigns.campaigns import CampaignNotFound, Campaigns
from rq_ses.mails.campaigns.status import CampaignStatus
from rq_ses.settings.gate import GateSettings, load_gate_settings
from rq_ses.settings.producer import ProducerSettings, load_producer_settings
from rq_ses.text import figures

_Command = TypeVar("_Command", bound=Callable[..., Any])

_ENDS: Final = ends_with({OK: "", INCOMPLETE: "there is no such campaign", UNAVAILABLE: ""})

_PATIENCE: Final = 60.0
"""Seconds for which enqueueing is tried again where nothing else is set: a server restarts meanwhile."""


def _files(command: _Command) -> _Command:
    """Give a command the files that a campaign is made of."""
    for option in reversed(
        (
            click.option(
                "--template", required=True, metavar="FILE",
                help="TOML or JSON with campaign, sender, subject, text, html and the other terms.",
            ),
            click.option("--campaign", "name", metavar="NAME", help="Name in place of the file's."),
            click.option(
                "--format", "kind", type=click.Choice(["jsonl", "csv"]),
                help="What --entries holds [by its name, else its first byte].",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _naming(command: _Command) -> _Command:
    """Give a command the campaign that it is about, and where that is."""
    for option in reversed(
        (
            click.argument("name"),
            click.option("--json", "as_json", is_flag=True, help="Print an object of JSON."),
            setting_options(GateSettings, "account", "aws_region", "redis_url", "config"),
        )
    ):
        command = option(command)
    return command


@ends_with({OK: "", INCOMPLETE: "not all was done: stderr says what", UNAVAILABLE: ""})
@click.group(cls=WholeGroup)
def campaign() -> None:
    """Send a template to many recipients, fifty a request, each once; follow it, hold it, call it back.

    \b
    Examples:
      rq-ses campaign send --template spring.toml --entries readers.csv
      rq-ses campaign status spring-2026
    """


@ends_with(
    {
        OK: "all entries are enqueued, by this run or one before it",
        INCOMPLETE: "some aren't: stderr says why, and how to go on",
        UNAVAILABLE: "run it again when Redis answers: it goes on where it was",
    }
)
@campaign.command()
@_files
@click.option(
    "--entries", required=True, metavar="FILE", help="JSON lines, or CSV with a header row (- for stdin)."
)
@click.option(
    "--skip-bad", is_flag=True, help="Pass over entries that can't be sent, and enqueue the others."
)
@click.option(
    "--durable", is_flag=True, help="Wait at each step until it is on Redis's disk (docs/redis.md)."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON.")
@setting_options(ProducerSettings, "queue", "redis_url", "config")
def send(
    *, template: str, name: str | None, kind: str | None, entries: str, skip_bad: bool, durable: bool,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Enqueue a campaign's entries; run again after anything, it goes on and enqueues none twice.

    All entries are checked before the first is enqueued, unless they come through a pipe. An entry is known
    by its key, or else by its address.

    \b
    Examples:
      rq-ses campaign send --template spring.toml --entries readers.csv
      rq-ses campaign send --template spring.toml --entries more.jsonl --skip-bad
      zcat more.gz | rq-ses campaign send --template spring.toml --entries -
    """
    # Here, for what draws its progress bar takes longer to import than the other commands.
    from rq_ses.cli.campaign.entryfile import format_of
    from rq_ses.cli.campaign.send import Sending
    from rq_ses.cli.campaign.templatefile import read_campaign
    from rq_ses.outbox.outbox import Outbox

    found = read_campaign(template, name)
    settings = load_producer_settings(**options)
    given = settings.model_dump()
    if not settings.origin("enqueue_timeout"):
        given["enqueue_timeout"] = _PATIENCE
    with opened("--entries", entries) as source:
        sending = Sending(Outbox(**given), found, kind or format_of(entries, source))  # type: ignore[arg-type]
        sending.skip_bad, sending.durable, sending.as_json = skip_bad, durable, as_json
        output.leave(sending.run(source))


@ends_with({OK: "shown", INCOMPLETE: "the entry can't be sent as it is"})
@campaign.command()
@_files
@click.option("--entries", metavar="FILE", help="The entries, of which one is shown (- for stdin).")
@click.option("--entry", "number", type=click.IntRange(1), default=1, metavar="N", help="Which of them [1].")
@click.option("--data", metavar="JSON", help="Data of an entry, in place of --entries.")
@click.option("--part", type=click.Choice(["subject", "text", "html"]), help="Print this part alone.")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON.")
def preview(
    *, template: str, name: str | None, kind: str | None, entries: str | None, number: int, data: str | None,
    part: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show the mail that one entry becomes, filled in as SES does; nothing is sent, and no Redis is needed.

    \b
    Examples:
      rq-ses campaign preview --template spring.toml --entries readers.csv
      rq-ses campaign preview --template spring.toml --data '{"name": "<Ann>"}'
      rq-ses campaign preview --template spring.toml --entries readers.csv \\
                              --entry 7 --part html > mail.html
    """
    from rq_ses.cli.campaign.preview import preview_of
    from rq_ses.cli.campaign.showing import chosen_entry
    from rq_ses.cli.campaign.templatefile import read_campaign

    if (entries is None) == (data is None):
        raise click.UsageError("give --entries or --data: exactly one of them")
    found = read_campaign(template, name)
    try:
        shown = preview_of(found, chosen_entry(found, entries, kind, number, data))
    except ValueError as exc:
        output.echo(f"Error: {exc}", err=True)
        sys.exit(INCOMPLETE)
    except ModuleNotFoundError as exc:
        raise click.UsageError(f"--template: {exc}") from exc
    if part:
        output.echo(getattr(shown, part) or "")
    elif as_json:
        output.echo(json.dumps({**shown._asdict(), "headers": dict(shown.headers)}))
    else:
        lines = [f"From: {shown.sender}", f"To: {shown.to}", f"Subject: {shown.subject}"]
        lines += [f"{header}: {value}" for header, value in shown.headers.items()]
        output.echo("\n".join(lines))
        for body in filter(None, (shown.text, shown.html)):
            output.echo(f"\n{body}")


@_ENDS
@campaign.command()
@_naming
def status(*, name: str, as_json: bool, **options: Any) -> None:
    """Show how a campaign stands: its entries by what became of them, and when it will be through.

    NAME is the campaign's. The end is estimated by the rate, and the day's quota, that the account has now,
    if it sends nothing else.

    \b
    Examples:
      rq-ses campaign status spring-2026
      rq-ses campaign status spring-2026 --json | jq .waiting
    """
    with _reached(**options) as campaigns:
        _show(campaigns.status(name), as_json=as_json)


@_ENDS
@campaign.command()
@_naming
def pause(*, name: str, as_json: bool, **options: Any) -> None:
    """Hold a campaign: requests that are under way end as usual, all else waits for `resume`.

    NAME is the campaign's. Entries may still be enqueued to it.

    \b
    Example:
      rq-ses campaign pause spring-2026
    """
    with _reached(**options) as campaigns:
        _show(campaigns.pause(name), as_json=as_json)


@_ENDS
@campaign.command()
@_naming
def resume(*, name: str, as_json: bool, **options: Any) -> None:
    """Let a campaign that was paused go on; what was held goes back into the queue.

    NAME is the campaign's.

    \b
    Example:
      rq-ses campaign resume spring-2026
    """
    with _reached(**options) as campaigns:
        found = campaigns.resume(name)
        _show(found, as_json=as_json)
    if found.state == "canceled":
        output.echo(f"campaign {name} was canceled: it stays so", err=True)
        sys.exit(INCOMPLETE)


@_ENDS
@campaign.command()
@_naming
def cancel(*, name: str, as_json: bool, **options: Any) -> None:
    """Call back all of a campaign that waits, for good: nobody will send it, and its name is used up.

    NAME is the campaign's. What is being sent ends as usual. What has failed stays with the dead letters.

    \b
    Example:
      rq-ses campaign cancel spring-2026
    """
    with _reached(**options) as campaigns:
        _show(campaigns.cancel(name), as_json=as_json)


@ends_with({OK: "", UNAVAILABLE: ""})
@campaign.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@setting_options(GateSettings, "account", "aws_region", "redis_url", "config")
def list_(*, as_json: bool, **options: Any) -> None:
    """Show all campaigns that aren't forgotten yet: a week after their end they are.

    \b
    Example:
      rq-ses campaign list
    """
    with _reached(**options) as campaigns:
        for name in campaigns.list():
            try:
                found = campaigns.status(name)
            except CampaignNotFound:
                continue  # forgotten meanwhile
            if as_json:
                output.echo(json.dumps(_object(found)))
            else:
                counts = f"{found.sent:,} of {found.enqueued:,} sent, {found.waiting:,} wait"
                output.echo(f"{name}\t{found.state}\t{counts}")


@contextmanager
def _reached(**options: Any) -> Iterator[Campaigns]:
    """Open a queue's campaigns; end the program when Redis doesn't answer, or doesn't know the one."""
    settings = load_gate_settings(**options)
    campaigns = Campaigns(
        settings.redis_url,
        partitions=settings.partitions,
        account=settings.account if settings.origin("account") else None,
        region=settings.aws_region,
    )
    with reaching_redis(), closing(campaigns):
        try:
            yield campaigns
        except CampaignNotFound as exc:
            output.echo(f"Error: {exc}", err=True)
            sys.exit(INCOMPLETE)
        except ValueError as exc:
            raise click.UsageError(f"NAME: {exc}") from exc


def _object(found: CampaignStatus) -> dict[str, Any]:
    told = {**asdict(found), "waiting": found.waiting}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


def _show(found: CampaignStatus, *, as_json: bool) -> None:
    if as_json:
        output.echo(json.dumps(_object(found)))
        return
    pending = "" if found.complete or found.state == "canceled" else ", not all is enqueued yet"
    numbers = [
        (name, getattr(found, name)) for name in ("sent", "failed", "unknown", "canceled", "discarded")
    ]
    rows: list[tuple[str | None, str]] = [
        ("campaign", found.name),
        ("state", found.state + pending),
        ("enqueued", f"{found.enqueued:,}"),
        *((name, f"{number:,}") for name, number in numbers if number or name == "sent"),
        ("waiting", f"{found.waiting:,}"),
    ]
    if found.rate is not None:
        rows.append(("send rate", figures.rate(found.rate)))
    if found.state == "sending" and found.waiting:
        left = found.seconds_left
        rows.append(("through in", "unknown" if left is None else f"{figures.duration(left)}, at best"))
    tell_labelled(rows)
