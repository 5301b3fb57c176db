"""`rq-ses show` and `rq-ses cancel`: one mail by its job id or key, whatever its state."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

import click

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.options import of_all_priorities, setting_options
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.cli.terminal.rows import Ages, tell_labelled
from rq_ses.mails import Mail, MailNotFound, Mails
from rq_ses.mails.told import events_in, feedback_in
from rq_ses.mails.view import event_rows, events_object, mail_object, mail_rows
from rq_ses.outbox.submission import checked_key
from rq_ses.settings.producer import ProducerSettings, load_producer_settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _naming(command: _Command) -> _Command:
    """Give a command what names one mail, and where it is."""
    for option in reversed(
        (
            click.argument("job_id", required=False),
            click.option("--key", metavar="KEY", help="The idempotency key it was sent under."),
            click.option("--json", "as_json", is_flag=True, help="Print an object of JSON."),
            of_all_priorities,
            setting_options(ProducerSettings, "redis_url", "config"),
        )
    ):
        command = option(command)
    return command


@ends_with({OK: "shown", INCOMPLETE: "nothing is known of it", UNAVAILABLE: ""})
@click.command()
@_naming
@click.option(
    "--campaign",
    metavar="NAME",
    help="JOB_ID is the address of an entry of this campaign, or --key the key it was given.",
)
def show(
    *, job_id: str | None, key: str | None, campaign: str | None, as_json: bool, **options: str | None
) -> None:
    """Show one mail whatever its state: where it stands, how its attempts ended, its life in order.

    JOB_ID is what `rq-ses send` printed; --key names the mail as the app did. Looking changes nothing. What
    SES has told of it since, by events, stands in its place; of a mail that is forgotten that alone is shown.

    \b
    Examples:
      rq-ses show 5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5
      rq-ses show --key order-4711-shipped
      rq-ses show --key order-4711-shipped --json | jq -r .status
      rq-ses show --campaign spring-sale anna@example.com

    In JSON what isn't known is null, and moments are in ISO 8601.
    """
    _check(job_id, key)
    with _reached(**options) as mails, _telling_what_is_left(as_json=as_json):
        mail = _entry(mails, campaign, job_id or key or "") if campaign else mails.show(job_id, key=key)
        where = {"partition": mails.partition_of(mail.job_id)} if mails.partitions.prefixes else {}
    if as_json:
        output.echo(json.dumps({**mail_object(mail), **where}))
    else:
        tell_labelled(chain(mail_rows(mail, Ages(mail.now).when), where.items()))


@ends_with(
    {
        OK: "it was canceled",
        INCOMPLETE: "it was not, or nothing is known of it",
        UNAVAILABLE: "",
    }
)
@click.command()
@_naming
def cancel(*, job_id: str | None, key: str | None, as_json: bool, **options: str | None) -> None:
    """Cancel one mail that waits, queued or scheduled: nobody will send it, and its key is free.

    JOB_ID is what `rq-ses send` printed; --key names the mail as the app did. What is being sent can't be
    called back, and what has ended stays as it is; the command says so. A canceled mail can be looked at for
    a day.

    \b
    Examples:
      rq-ses cancel 5f0c9d1e2b3a4c5d6e7f8091a2b3c4d5
      rq-ses cancel --key order-4711-reminder
    """
    _check(job_id, key)
    with _reached(**options) as mails:
        done = mails.cancel(job_id, key=key)
    if as_json:
        found = {"job_id": done.job_id, "canceled": done.canceled, "was": done.before.status}
        output.echo(json.dumps({**found, "reason": done.reason}))
    word = "canceled" if done.canceled else "not canceled"
    output.echo(f"job {done.job_id} {word}: {done.reason}", err=True)
    if not done.canceled:
        sys.exit(INCOMPLETE)


def _entry(mails: Mails, campaign: str, key: str) -> Mail:
    try:
        return mails.entry(campaign, key)
    except ValueError as exc:
        raise click.UsageError(f"--campaign: {exc}") from None


def _check(job_id: str | None, key: str | None) -> None:
    if (job_id is None) == (key is None):
        raise click.UsageError("name the mail by JOB_ID or by --key: give exactly one of them")
    if key is not None:
        try:
            checked_key(key)
        except ValueError as exc:
            raise click.UsageError(f"--{exc}") from None


@contextmanager
def _telling_what_is_left(*, as_json: bool) -> Iterator[None]:
    """Tell what SES has told of a mail that is forgotten."""
    try:
        yield
    except MailNotFound as exc:
        events = events_in(exc.events)
        if as_json and events:
            output.echo(json.dumps(events_object(exc.job_id, events, feedback_in(exc.events))))
        elif events:
            tell_labelled(event_rows(events, Ages(datetime.now(UTC)).when))
        raise


@contextmanager
def _reached(*, queue: str | None, redis_url: str | None, config: str | None) -> Iterator[Mails]:
    """Open a queue's mails; end the program when Redis doesn't answer, or doesn't know the mail."""
    settings = load_producer_settings(config=config, redis_url=redis_url, queue=queue)
    mails = Mails(settings.redis_url, queue=settings.queue, partitions=settings.partitions)
    try:
        with reaching_redis():
            yield mails
    except MailNotFound as exc:
        output.echo(f"Error: {exc}", err=True)
        sys.exit(INCOMPLETE)
    finally:
        mails.partitions.close()
