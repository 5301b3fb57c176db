"""`rq-ses send`: enqueue one mail from flags, or many from lines of JSON."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, NoReturn

import click

from rq_ses.cli.sending.mail import by_option, mail_options, message_of, option_name
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.output import broken, echo, leave
from rq_ses.contract import ON_UNKNOWN, PRIORITIES, YEARS, OnUnknown, Priority
from rq_ses.errors import DurabilityUnconfirmed, IdempotencyConflict
from rq_ses.outbox.call import ON_CONFLICT, OnConflict
from rq_ses.outbox.outbox import Outbox
from rq_ses.outbox.submission import Submission, is_unicode
from rq_ses.receipt import Receipt
from rq_ses.settings.producer import ProducerSettings
from rq_ses.text.localtime import read_moment

_DAY: Final = re.compile(r"((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
"""A date in ISO 8601's basic form, which is also a number."""


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """An ISO 8601 date and time, local if it has no offset; or, where it is allowed, seconds from now."""

    name = "moment"

    def __init__(self, *, seconds: bool = False) -> None:
        self._seconds = seconds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | float:
        if self._seconds:
            if day := _DAY.fullmatch(str(value)):
                readings = f"{'-'.join(day.groups())}, or {value}.0"
                self.fail(f"{value!r} is a date as well as seconds: write {readings}", param, ctx)
            try:
                return float(value)
            except ValueError:
                pass
        try:
            return read_moment(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@ends_with(
    {
        OK: "all were enqueued",
        INCOMPLETE: "some were not (or not confirmed as durable, or an id was not printed, or it "
        "was interrupted: stderr says where to go on)",
        UNAVAILABLE: "",
    }
)
@click.command()
@mail_options
@click.option("--key", help="Idempotency key: the same key and mail are enqueued once.")
@click.option("--at", type=Moment(), help="Send no earlier than this (ISO 8601).")
@click.option(
    "--delay", type=click.FloatRange(0, YEARS), metavar="SECONDS", help="Send no earlier than in so long."
)
@click.option(
    "--expires", type=Moment(seconds=True), help="Fail rather than send after this (ISO 8601, or seconds)."
)
@click.option(
    "--on-unknown",
    type=click.Choice(ON_UNKNOWN),
    help="What to do if SES may have accepted it [the worker's].",
)
@click.option("--priority", type=click.Choice(PRIORITIES), default=None, help="How urgent it is [normal].")
@click.option(
    "--on-conflict",
    type=click.Choice(ON_CONFLICT),
    default="raise",
    help="What to do if the key stands for another mail: fail, or keep that one and not send this [raise].",
)
@click.option("--jsonl", metavar="FILE", help="Send a Message of each line of JSON (- for standard input).")
@click.option("--strict", is_flag=True, help="With --jsonl: send nothing if a line is bad.")
@click.option(
    "--durable", is_flag=True, help="Wait until it is on Redis's disk (and RQ_SES_DURABLE_REPLICAS replicas)."
)
@setting_options(ProducerSettings, "config", "redis_url", "queue")
def send(
    *,
    jsonl: str | None,
    strict: bool,
    durable: bool,
    on_conflict: OnConflict,
    config: str | None,
    redis_url: str | None,
    queue: str | None,
    **flags: Any,
) -> None:
    """Enqueue one mail from flags, or one a line of --jsonl, and print a job id a line.

    \b
    Examples:
      rq-ses send --from a@example.com --to b@example.com --subject Hi --text Hi
      rq-ses send --raw mail.eml --to b@example.com
      rq-ses send --jsonl mails.jsonl
      echo '{"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi",
             "text": "Hello", "key": "hi-7", "delay": 60}' | rq-ses send --jsonl -
    """
    given = [name for name, value in flags.items() if value not in (None, ())]
    if jsonl is not None and given:
        raise click.UsageError(f"--jsonl takes no other mail: drop {option_name(given[0])}")
    if jsonl is None and strict:
        raise click.UsageError("--strict goes with --jsonl")
    submission = None if jsonl is not None else _submission(**flags)
    outbox = Outbox.from_env(config=config, redis_url=redis_url, queue=queue)
    if submission is not None:
        _send_one(outbox, submission, durable=durable, on_conflict=on_conflict)
    else:
        # Here, for what draws its progress bar takes longer to import than a mail to enqueue.
        from rq_ses.cli.sending.jsonl import send_lines

        with opened("--jsonl", str(jsonl)) as source:
            leave(send_lines(outbox, source, strict=strict, durable=durable, on_conflict=on_conflict))


def _submission(
    *,
    key: str | None,
    at: datetime | None,
    delay: float | None,
    expires: datetime | float | None,
    on_unknown: OnUnknown | None,
    priority: Priority | None,
    **fields: Any,
) -> Submission:
    message = message_of(**fields)
    if at is not None and delay is not None:
        raise click.UsageError("--at and --delay: both were given: give one of them")
    if key is not None and not is_unicode(key):
        raise click.UsageError(f"--key: {key!r} is not Unicode text: write it in UTF-8")
    return Submission(message, key, at, delay, expires, on_unknown, priority or "normal")


def _send_one(outbox: Outbox, submission: Submission, *, durable: bool, on_conflict: OnConflict) -> NoReturn:
    try:
        [result] = outbox.try_send_many([submission], durable=durable, on_conflict=on_conflict)
    except DurabilityUnconfirmed as exc:
        for unconfirmed in exc.receipts:
            _tell(unconfirmed, submission)
        echo(f"Error: {exc}", err=True)
        leave(INCOMPLETE)
    except KeyboardInterrupt:
        echo("interrupted: the mail may be enqueued or not; the same --key never sends it twice", err=True)
        leave(INCOMPLETE)
    if isinstance(result, Receipt):
        _tell(result, submission)
        leave(OK)
    if isinstance(result, IdempotencyConflict):
        echo(f"Error: {result}", err=True)
        leave(INCOMPLETE)
    raise click.UsageError(by_option([str(result)])) from result


def _tell(receipt: Receipt, submission: Submission) -> None:
    if receipt.conflict:
        echo("another mail is enqueued under this key and kept; this one is not sent", err=True)
    elif receipt.duplicate:
        echo("already enqueued under this key", err=True)
    else:
        for word, moment in (("not before", submission.at), ("expires", submission.expires)):
            if isinstance(moment, datetime):
                echo(f"{word} {moment.isoformat()}", err=True)
    echo(receipt.job_id)
    if broken():
        echo(f"enqueued as job {receipt.job_id}", err=True)
