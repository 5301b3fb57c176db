"""`rq-ses sendmail`: the mail on standard input, enqueued."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from email.parser import BytesParser
from email.policy import compat32
from hashlib import sha256
from typing import NoReturn

import click
from pydantic import ValidationError

from rq_ses.cli import leanredis  # noqa: F401 - before anything else imports redis-py
from rq_ses.cli.sendmail import exits
from rq_ses.cli.sendmail.flags import BadFlags, Flags, read_flags
from rq_ses.cli.sendmail.host import Host, NoSender, NoUser, is_full
from rq_ses.cli.sendmail.letter import Letter
from rq_ses.cli.terminal.exits import ExitCode, ends_with
from rq_ses.cli.terminal.output import echo, leave
from rq_ses.errors import OutboxUnavailable, SettingsError
from rq_ses.message.fields import Terms
from rq_ses.message.limits import RECIPIENTS
from rq_ses.message.message import Message, explain
from rq_ses.message.mime.people import people
from rq_ses.message.mime.simple import simple_fields
from rq_ses.message.raw import MAX_MIME, RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.outbox import Outbox
from rq_ses.outbox.submission import Submission
from rq_ses.server.refusal import is_shut_out
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.sendmail import SendmailSettings, load_sendmail_settings


class _Sendmail(click.Command):
    """Takes its arguments as they are: flags of sendmail's are none of click's."""

    reads_settings = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args == ["--help"] else ["--", *args])


class _NotAMail(ValueError):
    """Raised where what stands on standard input is no mail that can be sent."""


@ends_with(dict.fromkeys(exits.CODES, ""), always=())
@click.command(cls=_Sendmail, context_settings={"help_option_names": ["--help"]})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT]...")
def sendmail(arguments: tuple[str, ...]) -> None:
    """Take a mail from standard input as /usr/sbin/sendmail does, and enqueue it.

    Each ARGUMENT is a recipient or one of sendmail's flags: -t also takes the recipients from the header (and
    Bcc out of it), -f says where bounces go, -F is the sender's name where the mail has none, -i keeps a dot
    alone on the last line, -v prints job ids on stderr. Those that change nothing here are taken and left;
    those that can't be obeyed (-bs, -bd, -q, …) are refused.

    With a Message-ID in its header the same mail to the same recipients is enqueued once.

    \b
    Examples:
      rq-ses sendmail -t -i < mail.eml
      rq-ses sendmail -i -f shop@example.com anna@example.com < mail.eml
      sendmail_path = "/opt/shop/bin/rq-ses sendmail -t -i"    (php.ini)
    """
    try:
        settings = load_sendmail_settings()
        flags = read_flags(arguments)
        data = _standard_input()
        outbox = Outbox(**settings.model_dump(include=set(ProducerSettings.model_fields)))
        receipts = outbox.send_many(_submissions(data, flags, settings), on_conflict="keep")
    except (ValueError, OSError, click.UsageError) as exc:
        _end(exc)
    if flags.verbose:
        for receipt in receipts:
            echo(f"enqueued{' before' if receipt.duplicate else ''} as job {receipt.job_id}", err=True)
    leave(exits.OK)


def _standard_input() -> bytes:
    stream = sys.stdin.buffer
    data = stream.read(MAX_MIME + 1)
    while stream.read(1024 * 1024):  # else the caller's pipe would break
        pass
    if len(data) > MAX_MIME:
        # Cut off there, it could be taken for a whole one.
        raise _NotAMail(f"standard input has more than the {MAX_MIME} bytes of a mail: send a link to it")
    return data


def _submissions(data: bytes, flags: Flags, settings: SendmailSettings) -> list[Submission]:
    """Return what carries the mail: a message for each fifty recipients. Raises ValueError."""
    letter = Letter(data, dots=flags.dots)
    bounces = flags.sender if is_full(flags.sender) else ""
    host = Host(bounces or settings.sendmail_sender or "", settings.sendmail_local or "", flags.name)
    letter.settle(host, delivers=flags.from_header)
    named = letter.recipients() if flags.from_header else []
    named += [host.recipient(*one)[1] for one in people(flags.recipients)]
    recipients = list(dict.fromkeys(named))
    if not recipients:
        raise _NotAMail("nobody is to get it: its header has no To, Cc or Bcc with an address")
    most = RECIPIENTS.most
    parts = [recipients[start : start + most] for start in range(0, len(recipients), most)]
    return [Submission(_message(letter, bounces, part), _key(data, letter, bounces, part)) for part in parts]


def _message(letter: Letter, bounces: str, recipients: list[str]) -> AnyMessage:
    """Return what says the same as the mail: a Message if one does, else its bytes as they are."""
    # Without another address SES forwards bounces to the sender's.
    terms: Terms = {"feedback_to": bounces} if bounces and bounces not in letter.addresses("from") else {}
    whole = letter.mime(hidden=True)
    email = BytesParser(policy=compat32).parsebytes(whole, headersonly=True)
    fields = simple_fields(email, letter.mime(hidden=False), None, recipients)
    if fields is not None:
        with suppress(ValidationError):
            return Message(**fields, **terms)
    letter.wrap()
    return RawMessage(data=letter.mime(hidden=False), to=recipients, **terms)


def _key(data: bytes, letter: Letter, bounces: str, recipients: list[str]) -> str | None:
    """Return what names the mail, which a caller that was told to try again brings once more.

    Without a Message-ID two mails that are alike may be two: a job of cron's that says the same every hour.
    """
    if letter.named("message-id") is None:
        return None
    return f"sendmail-{sha256(repr((data, bounces, sorted(recipients))).encode()).hexdigest()}"


def _end(exc: Exception) -> NoReturn:
    code, problems = _told(exc)
    for problem in problems:
        echo(f"Error: {problem}", err=True)
    leave(code)


def _told(exc: Exception) -> tuple[ExitCode, Sequence[str]]:
    """Return how an error ends the command, and what is to be said of it."""
    match exc:
        case BadFlags():
            return exits.USAGE, [str(exc)]
        case SettingsError():
            return exits.SETTINGS, exc.problems
        case NoSender():
            return exits.SETTINGS, [str(exc)]
        case NoUser():
            return exits.NO_USER, [str(exc)]
        case OutboxUnavailable():
            return exits.DENIED if is_shut_out(exc.__cause__) else exits.TRY_AGAIN, [str(exc)]
        case ValidationError():
            return exits.DATA, explain(exc)
        case ValueError():
            return exits.DATA, [str(exc)]
        case OSError():
            return exits.NO_INPUT, [f"standard input can't be read: {exc.strerror or exc}"]
        case _:  # streams.prepare()'s word for it
            return exits.NO_INPUT, ["standard input is closed: give the mail there"]
