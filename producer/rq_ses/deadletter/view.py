"""One dead letter whole, as rows for a terminal and as an object for JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError

from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.payload import Payload, Unreadable
from rq_ses.message.message import Message, explain
from rq_ses.message.raw import RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.text.plaintext import one_line

_LINE: Final = 2000
_HEADERS: Final = 200
"""Headers of raw MIME that are shown."""


def letter_object(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as an object for JSON, with its message if that was read."""
    found: dict[str, Any] = {
        "job_id": letter.job_id,
        "queue": letter.queue,
        "description": letter.description,
        "campaign": letter.campaign or None,
        "mails": letter.mails,
        "failed_at": letter.failed_at.isoformat() if letter.failed_at else None,
        "first_attempt_at": letter.first_attempt_at.isoformat() if letter.first_attempt_at else None,
        "attempts": letter.attempts,
        "unknown": letter.unknown,
        "code": letter.code,
        "message": letter.message,
        "status": letter.http_status,
        "request_id": letter.request_id,
        "error": letter.error,
        "hint": letter.hint,
    }
    if letter.payload is not None:
        found["mail"] = dict(letter.payload.fields)
        found["options"] = dict(letter.payload.options)
        if letter.payload.is_bulk:
            found["terms"] = dict(letter.payload.shared.fields) if letter.payload.shared else None
    return found


def letter_rows(
    letter: DeadLetter, when: Callable[[datetime | None], str]
) -> Iterator[tuple[str | None, str]]:
    """Yield a dead letter as labels and inert lines; `when` puts moments into words.

    A line whose label is "" goes on with what is above it; one whose label is None is of the mail's text.
    """
    yield from _failure_rows(letter, when)
    if letter.payload is not None and letter.payload.is_bulk:
        yield from entry_rows(letter.payload)
        return
    try:
        message = letter.mail
    except ValidationError as exc:
        for problem in explain(exc):
            yield _row("not valid", problem)
    except Unreadable as exc:
        yield _row("not valid", str(exc))
    else:
        if message is None:
            yield _row("not valid", "its payload can't be read")
        else:
            yield from _message_rows(message)
            yield from _option_rows(letter.payload.options if letter.payload else {})
            if text := _text(message):
                yield None, ""
                for line in text:
                    yield None, one_line(line, _LINE)


def _failure_rows(letter: DeadLetter, when: Callable[[datetime | None], str]) -> Iterator[tuple[str, str]]:
    yield _row("job", f"{one_line(letter.job_id, 100)} (queue {one_line(letter.queue, 100)})")
    if letter.campaign:
        together = f": {letter.mails:,} of its entries, for one reason" if letter.mails > 1 else ""
        yield _row("campaign", f"{one_line(letter.campaign, 100)}{together}")
    yield _row("failed", when(letter.failed_at))
    attempts = "1 attempt" if letter.attempts == 1 else f"{letter.attempts} attempts"
    first = (
        f", the first {when(letter.first_attempt_at)}"
        if letter.first_attempt_at and letter.attempts > 1
        else ""
    )
    yield _row("attempts", f"{attempts}{first}")
    yield _row("may be accepted", "yes: SES may have it; see --include-unknown" if letter.unknown else "no")
    for number, line in enumerate(letter.error.splitlines()):
        yield _row("" if number else "SES's answer" if letter.reported else "reason", line)
    if letter.hint:
        yield _row("hint", letter.hint)


def entry_rows(payload: Payload) -> Iterator[tuple[str, str]]:
    """Yield a campaign's entries as labels and inert lines: what they share, and each one's own."""
    mails, shared = payload.mails(), payload.shared.fields if payload.shared else None
    if shared is None:
        yield _row(
            "not valid", "the campaign's terms are missing: send the campaign once more, or import them"
        )
    else:
        template = shared.get("template")
        named = template if isinstance(template, dict) else {}
        stored = named.get("name")
        yield _row("from", str(shared.get("sender", "")))
        yield _row("template", f"{stored} (stored in SES)" if stored else str(named.get("subject", "")))
    entries = payload.fields.get("entries")
    for mail, entry in zip(mails, entries if isinstance(entries, list) else (), strict=False):
        yield _row("to", str(mail.get("to", "")))
        for name in ("headers", "tags"):
            own = mail.get(name)
            if isinstance(own, dict):
                yield from (_row(name[:-1], f"{key}: {value}") for key, value in own.items())
        yield _row(
            "data",
            json.dumps(entry[1], ensure_ascii=False) if isinstance(entry, list) and len(entry) > 1 else "",
        )
    yield from _option_rows(payload.options)


def _message_rows(message: AnyMessage) -> Iterator[tuple[str, str]]:
    yield from _raw_rows(message) if isinstance(message, RawMessage) else _envelope_rows(message)
    for name, value in message.tags.items():
        yield _row("tag", f"{name}={value}")
    yield from _term_rows(message)
    if isinstance(message, Message):
        yield from _content_rows(message)


def _term_rows(message: AnyMessage) -> Iterator[tuple[str, str]]:
    listed, overrides = message.list_management, message.configuration_overrides
    for label, value in (
        ("configuration set", message.configuration_set),
        ("sender's identity", message.from_email_arn),
        ("feedback to", message.feedback_to),
        ("its identity", message.feedback_arn),
        ("contact list", listed.contact_list if listed else None),
        ("topic", listed.topic if listed else None),
        ("tenant", message.tenant),
        ("track opens", _switch(overrides.open_tracking if overrides else None)),
        ("track clicks", _switch(overrides.click_tracking if overrides else None)),
        ("unsubscribe", message.unsubscribe if isinstance(message, Message) else None),
    ):
        if value is not None:
            yield _row(label, value)


def _switch(on: bool | None) -> str | None:
    return None if on is None else "yes" if on else "no"


def _raw_rows(message: RawMessage) -> Iterator[tuple[str, str]]:
    yield _row("from", message.sender or message.header.first("From") or "")
    yield from _list("to", message.to)
    yield _row("subject", message.subject)
    yield _row("MIME", f"{len(message.data):,} bytes")


def _envelope_rows(message: Message) -> Iterator[tuple[str, str]]:
    yield _row("from", message.sender)
    yield from _list("to", message.to)
    yield from _list("cc", message.cc)
    yield from _list("bcc", message.bcc)
    yield from _list("reply to", message.reply_to)
    yield _row("subject", message.subject)
    for name, value in message.headers.items():
        yield _row("header", f"{name}: {value}")


def _content_rows(message: Message) -> Iterator[tuple[str, str]]:
    for attachment in message.attachments:
        size = f"{len(attachment.content):,} bytes"
        yield _row("attachment", f"{attachment.filename} ({attachment.content_type}, {size})")
    for label, body in (("text", message.text), ("html", message.html)):
        if body is not None:
            yield _row(label, f"{len(body):,} characters")


def _list(label: str, addresses: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, address in enumerate(addresses):
        yield _row("" if number else label, address)


def _text(message: AnyMessage) -> Sequence[str]:
    """Return the lines that are shown of a mail: its text, or of MIME the header."""
    if isinstance(message, RawMessage):
        return list(islice(message.header.texts(), _HEADERS))
    return (message.text or "").splitlines()


def _option_rows(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "on_unknown" in options:
        yield _row("on unknown", str(options["on_unknown"]))
    if isinstance(expires := options.get("expires"), int | float) and 0 < expires < 1e11:
        yield _row("expires", f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M:%S} UTC")


def _row(label: str, value: str) -> tuple[str, str]:
    return label, one_line(value, _LINE)
