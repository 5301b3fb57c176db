"""The options of one mail, and the message that they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click
from pydantic import ValidationError

from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.pairs import pairs
from rq_ses.message.message import MAX_BYTES, Attachment, Message, explain
from rq_ses.message.raw import MAX_MIME, RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.text import suggestion

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NAMES: Final = {
    "sender": "from",
    "headers": "header",
    "tags": "tag",
    "attachments": "attach",
    "attached": "attach",
    "data": "raw",
    "list_management": "contact-list",
    "list_management.contact_list": "contact-list",
    "list_management.topic": "topic",
    "track_opens": "track-opens",
    "track_clicks": "track-clicks",
}
"""Options that are called otherwise than the field of the message or the parameter they fill."""

_FIELD: Final = re.compile(r"(list_management\.(?:contact_list|topic)|[a-z_]+)(\[\d+\])?(\.?)")


def _endpoint(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(f"--endpoint-id: {suggestion.remedy('endpoint_id', 'Message')}", ctx)


_OPTIONS: Final = (
    click.option("--from", "sender", help="Sender: an address, or 'Name <address>'."),
    click.option("--to", multiple=True, help="Recipient; may be repeated."),
    click.option("--cc", multiple=True, help="Recipient of a copy; may be repeated."),
    click.option("--bcc", multiple=True, help="Recipient of a blind copy; may be repeated."),
    click.option("--reply-to", multiple=True, help="Address for replies; may be repeated."),
    click.option("--subject", help="Subject line."),
    click.option("--text", help="Plain text body."),
    click.option("--text-file", type=click.File("rb"), help="File with the plain text body."),
    click.option("--html", help="HTML body."),
    click.option("--html-file", type=click.File("rb"), help="File with the HTML body."),
    click.option(
        "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Header; may be repeated."
    ),
    click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="SES tag; may be repeated."),
    click.option("--configuration-set", help="SES configuration set."),
    click.option(
        "--attach",
        "attached",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File to attach; may be repeated.",
    ),
    click.option("--unsubscribe", metavar="URL", help="https link that unsubscribes by a POST (RFC 8058)."),
    click.option("--raw", metavar="FILE", help="A whole mail as MIME, sent as it is (- for standard input)."),
    click.option("--from-email-arn", metavar="ARN", help="The sender's identity, if another account's."),
    click.option("--feedback-to", metavar="ADDRESS", help="Where SES forwards bounces and complaints."),
    click.option("--feedback-arn", metavar="ARN", help="Its identity, if another account's."),
    click.option("--contact-list", metavar="NAME", help="SES's contact list that the mail belongs to."),
    click.option("--topic", metavar="NAME", help="The topic of it."),
    click.option("--tenant", metavar="NAME", help="SES tenant."),
    click.option("--track-opens/--no-track-opens", default=None, help="Track openings, or don't."),
    click.option("--track-clicks/--no-track-clicks", default=None, help="Track links, or don't."),
    click.option(
        "--endpoint-id", hidden=True, callback=_endpoint, expose_value=False, help="Refused: it needs SigV4A."
    ),
)


def mail_options(command: _Command) -> _Command:
    """Give a command the options of one mail, which it takes as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def option_name(name: str) -> str:
    """Return the option that fills a field of the message, or a parameter."""
    return f"--{_NAMES.get(name, name).replace('_', '-')}"


def by_option(problems: Sequence[str]) -> str:
    """Return problems as lines that name the option at the command line in place of the field."""
    return "\n       ".join(
        _FIELD.sub(lambda found: option_name(found[1]) + (" " if found[3] else ""), problem, count=1)
        for problem in problems
    )


def message_of(*, raw: str | None, **given: Any) -> AnyMessage:
    """Return the message that options make. Raises click.UsageError."""
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    try:
        return _simple(**fields) if raw is None else _raw(raw, **fields)
    except ValidationError as exc:
        raise click.UsageError(by_option(explain(exc))) from exc


def _terms(
    *,
    tags: tuple[str, ...] = (),
    contact_list: str | None = None,
    topic: str | None = None,
    track_opens: bool | None = None,
    track_clicks: bool | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return the fields that both kinds of message have, beside those that are given as they are."""
    if tags:
        fields["tags"] = pairs("--tag", tags, "name=value")
    listed = {"contact_list": contact_list, "topic": topic}
    if contact_list is not None or topic is not None:
        fields["list_management"] = {name: text for name, text in listed.items() if text is not None}
    tracking = {"open_tracking": track_opens, "click_tracking": track_clicks}
    if track_opens is not None or track_clicks is not None:
        fields["configuration_overrides"] = {name: on for name, on in tracking.items() if on is not None}
    return fields


def _simple(
    *,
    text: str | None = None,
    text_file: BinaryIO | None = None,
    html: str | None = None,
    html_file: BinaryIO | None = None,
    headers: tuple[str, ...] = (),
    attached: tuple[Path, ...] = (),
    **fields: Any,
) -> Message:
    attachments = [_attachment(path) for path in attached]
    return Message(
        text=_body("--text", text, text_file),
        html=_body("--html", html, html_file),
        headers=pairs("--header", headers, "'Name: value'", separator=":"),
        attachments=attachments,
        **_terms(**fields),
    )


def _raw(name: str, **fields: Any) -> RawMessage:
    terms = _terms(**fields)
    if foreign := [field for field in terms if field not in RawMessage.model_fields]:
        raise click.UsageError(f"--raw takes a whole mail: drop {option_name(foreign[0])}")
    with opened("--raw", name) as file:
        # A byte more than any mail may have is enough to be refused.
        data = file.read(MAX_MIME + 1)
    return RawMessage(data=data, **terms)


def _body(option: str, given: str | None, file: BinaryIO | None) -> str | None:
    if file is None:
        return given
    if given is not None:
        raise click.UsageError(f"{option} and {option}-file: both were given: give one of them")
    try:
        # A byte more than any mail may have is enough to be refused.
        return file.read(MAX_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        place = f"byte {exc.start + 1}"
        raise click.UsageError(f"{option}-file: {place} of {file.name!r} is not UTF-8: convert it") from exc


def _attachment(path: Path) -> Attachment:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise click.UsageError(f"--attach: {str(path)!r} can't be read: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise click.UsageError(f"--attach: {str(path)!r} is larger than any mail may be: send a link to it")
    try:
        return Attachment(filename=path.name, content=content)
    except ValidationError as exc:
        raise click.UsageError(f"--attach: {str(path)!r}: {'; '.join(explain(exc))}") from exc
