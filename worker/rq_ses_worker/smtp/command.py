"""`rq-ses smtp`: take mails over SMTP until told to stop; and what makes a line of its file of users."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import click

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import OK, UNFIT, ends_with
from rq_ses.cli.terminal.helptext import WholeGroup
from rq_ses.cli.terminal.options import setting_options
from rq_ses.settings.producer import ProducerSettings
from rq_ses_worker.engine.preflight.server import ServerUnfit
from rq_ses_worker.logging import events, rendering
from rq_ses_worker.monitoring.listening import read_listening
from rq_ses_worker.settings.smtp import SmtpSettings, load_smtp_settings, parts, read_senders
from rq_ses_worker.smtp.access.users import LEAST_PASSWORD, PasswordHash, checked_name
from rq_ses_worker.smtp.counts import Counts
from rq_ses_worker.smtp.ingress import run
from rq_ses_worker.smtp.monitor import SmtpMonitor

log = logging.getLogger(__name__)


@ends_with({OK: "stopped as told", UNFIT: ""})
@click.group(cls=WholeGroup, invoke_without_command=True)
@setting_options(SmtpSettings, "smtp_listen", "smtp_users", "smtp_networks", "smtp_senders")
@setting_options(SmtpSettings, "smtp_certificate", "smtp_key", "smtp_max_size", "smtp_max_recipients")
@setting_options(SmtpSettings, "smtp_rate", "smtp_connections", "smtp_durable")
@setting_options(SmtpSettings, "redis_url", "queue", "config", "preflight", "metrics")
@setting_options(SmtpSettings, "log_level", "log_format", "log_addresses", "log_sent")
@click.pass_context
def smtp(ctx: click.Context, /, **options: Any) -> None:
    """Take mails over SMTP and enqueue them, until SIGTERM or SIGINT.

    A mail is answered with 250 when Redis has it, with 451 while Redis is away; the workers send it. Nobody
    but this machine reaches it, unless --listen says so; then clients log in (--users, over STARTTLS) or
    are in one of the --networks. SIGHUP rereads users and certificate.

    \b
    Examples:
      rq-ses smtp
      rq-ses smtp --listen 0.0.0.0:2525 --networks 10.1.0.0/16
      rq-ses smtp --listen 0.0.0.0:587 --networks none --users users \\
        --certificate fullchain.pem --key privkey.pem
      rq-ses smtp hash-password wordpress >> users

    A signal lets mails that are under way end.
    """
    if ctx.invoked_subcommand is None:
        settings = load_smtp_settings(**options)
        ctx.exit(_serve(settings))


@ends_with({OK: ""})
@smtp.command("hash-password")
@click.argument("name")
@click.option("--headers", is_flag=True, help="The user may set X-SES-... and X-Rq-Ses-Priority.")
@click.option("--senders", metavar="LIST", help="Addresses and domains that the user's mails may be from.")
def hash_password(*, name: str, headers: bool, senders: str | None) -> None:
    """Print the line of a user, called NAME, for the file of --users.

    The password is asked for, or read from stdin if that is no terminal: a line of 8 characters at least. It
    is never an option, which other users of the machine could read.

    \b
    Examples:
      rq-ses smtp hash-password wordpress >> users
      pass show mail/shop |
        rq-ses smtp hash-password shop --headers --senders shop.example.com
    """
    try:
        checked_name(name)
        listed = f" senders={','.join(parts(senders))}" if senders and read_senders(senders) else ""
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    password = _password()
    if len(password) < LEAST_PASSWORD:
        raise click.UsageError(f"the password is too short: give at least {LEAST_PASSWORD} characters")
    output.echo(f"{name} {PasswordHash.of(password.encode())}{' headers' * headers}{listed}")


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _serve(settings: SmtpSettings) -> int:
    rendering.configure(
        settings.log_level, form=settings.log_format, addresses=settings.log_addresses, sent=settings.log_sent
    )
    # aiosmtpd's own log has each command of each client in it.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    counts = Counts()
    if settings.metrics:
        monitor = SmtpMonitor(
            read_listening(settings.metrics), counts, settings.redis_url, settings.partitions
        )
        events.MONITOR_LISTENS.log(log, url=monitor.url)
        monitor.start()
    try:
        asyncio.run(_until_stopped(settings, counts))
    except ServerUnfit as exc:
        for finding in exc.findings:
            output.echo(f"Error: Redis: {finding.text}", err=True)
        output.echo("(RQ_SES_PREFLIGHT=warn starts all the same)", err=True)
        return UNFIT
    return OK


async def _until_stopped(settings: SmtpSettings, counts: Counts) -> None:
    # Here, for hash-password needs nothing of it.
    from rq_ses.aio import AsyncOutbox

    given = settings.model_dump(include=set(ProducerSettings.model_fields))
    async with AsyncOutbox(**given) as outbox:
        await run(settings, outbox, counts)
