"""`rq-ses send`: enqueue one mail from flags, or many from lines of JSON."""

from __future__ import annotations

import mimetypes
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, TaskID

from rq_ses.cli.exits import INCOMPLETE, UNAVAILABLE
from rq_ses.cli.lines import Line, read_lines
from rq_ses.errors import IdempotencyConflict, OutboxUnavailable
from rq_ses.message import Attachment, Message, explain
from rq_ses.outbox import BATCH_MESSAGES, Outbox, Receipt, Submission
from rq_ses.settings import load_producer_settings


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """An ISO 8601 date and time with its offset; or, where it is allowed, seconds from now."""

    name = "moment"

    def __init__(self, *, seconds: bool = False) -> None:
        self._seconds = seconds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | float:
        if self._seconds:
            try:
                return float(value)
            except ValueError:
                pass
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date and time: write 2026-05-31T09:00:00+02:00", param, ctx)
        return moment.astimezone() if moment.tzinfo is None else moment


@click.command()
@click.option("--from", "sender", help="Sender: an address, or 'Name <address>'.")
@click.option("--to", multiple=True, help="Recipient; may be repeated.")
@click.option("--cc", multiple=True, help="Recipient of a copy; may be repeated.")
@click.option("--bcc", multiple=True, help="Recipient of a blind copy; may be repeated.")
@click.option("--reply-to", multiple=True, help="Address for replies; may be repeated.")
@click.option("--subject", help="Subject line.")
@click.option("--text", help="Plain text body.")
@click.option("--text-file", type=click.File("r", encoding="utf-8"), help="File with the plain text body.")
@click.option("--html", help="HTML body.")
@click.option("--html-file", type=click.File("r", encoding="utf-8"), help="File with the HTML body.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Header; may be repeated.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="SES tag; may be repeated.")
@click.option("--configuration-set", help="SES configuration set.")
@click.option(
    "--attach",
    "attached",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File to attach; may be repeated.",
)
@click.option("--key", help="Idempotency key: the same key and mail are enqueued once.")
@click.option("--at", type=Moment(), help="Send no earlier than this (ISO 8601).")
@click.option(
    "--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Send no earlier than in so long."
)
@click.option(
    "--expires", type=Moment(seconds=True), help="Fail rather than send after this (ISO 8601, or seconds)."
)
@click.option("--jsonl", metavar="FILE", help="Send a Message of each line of JSON (- for standard input).")
@click.option("--strict", is_flag=True, help="With --jsonl: send nothing if a line is bad.")
@click.option("--redis-url", help="Redis server [RQ_SES_REDIS_URL].")
@click.option("--queue", help="RQ queue [RQ_SES_QUEUE].")
def send(*, jsonl: str | None, strict: bool, redis_url: str | None, queue: str | None, **flags: Any) -> None:
    """Enqueue one mail from flags, or one a line of --jsonl, and print a job id a line.

    \b
    Examples:
      rq-ses send --from a@example.com --to b@example.com --subject Hi --text Hello
      rq-ses send --jsonl mails.jsonl
      echo '{"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi",
             "text": "Hello", "key": "welcome-7", "delay": 60}' | rq-ses send --jsonl -

    Exit codes: 0 all were enqueued, 1 some were not, 2 bad command line, 3 bad settings, 4 no Redis.
    """
    given = [name for name, value in flags.items() if value not in (None, ())]
    if jsonl is not None and given:
        raise click.UsageError(f"--jsonl takes no other mail: drop --{_option(given[0])}")
    if jsonl is None and strict:
        raise click.UsageError("--strict goes with --jsonl")
    submission = None if jsonl is not None else _submission(**flags)
    settings = load_producer_settings(redis_url=redis_url, queue=queue)
    outbox = Outbox(
        settings.redis_url,
        settings.queue,
        result_ttl=settings.result_ttl,
        failure_ttl=settings.failure_ttl,
        enqueue_timeout=settings.enqueue_timeout,
    )
    if submission is not None:
        _send_one(outbox, submission)
    else:
        with _opened(str(jsonl)) as source:
            _Lines(outbox, source, strict=strict).send()


def _option(name: str) -> str:
    return {"sender": "from", "headers": "header", "tags": "tag", "attached": "attach"}.get(
        name, name
    ).replace("_", "-")


def _submission(
    *,
    key: str | None,
    at: datetime | None,
    delay: float | None,
    expires: datetime | float | None,
    text_file: Any,
    html_file: Any,
    headers: tuple[str, ...],
    tags: tuple[str, ...],
    attached: tuple[Path, ...],
    **fields: Any,
) -> Submission:
    if text_file:
        fields["text"] = text_file.read()
    if html_file:
        fields["html"] = html_file.read()
    fields = {name: value for name, value in fields.items() if value not in (None, ())}
    try:
        message = Message(
            headers=dict(_pair(header, ":", "--header", "'Name: value'") for header in headers),
            tags=dict(_pair(tag, "=", "--tag", "name=value") for tag in tags),
            attachments=tuple(_attachment(path) for path in attached),
            **fields,
        )
    except ValidationError as exc:
        raise click.UsageError("\n       ".join(explain(exc))) from exc
    return Submission(message, key, at, delay, expires)


def _pair(text: str, separator: str, option: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found:
        raise click.UsageError(f"{option}: {text!r} has no {separator!r}: write {form}")
    return name.strip(), value.strip()


def _attachment(path: Path) -> Attachment:
    kind, encoding = mimetypes.guess_type(path.name)
    content_type = "application/octet-stream" if kind is None or encoding else kind
    return Attachment(filename=path.name, content_type=content_type, content=path.read_bytes())


def _send_one(outbox: Outbox, submission: Submission) -> None:
    try:
        receipt = outbox.send_many([submission])[0]
    except IdempotencyConflict as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(INCOMPLETE)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    if receipt.duplicate:
        click.echo("already enqueued under this key", err=True)
    click.echo(receipt.job_id)


class _Lines:
    """One run over lines of JSON."""

    def __init__(self, outbox: Outbox, source: BinaryIO, *, strict: bool) -> None:
        self._outbox = outbox
        self._source = source
        self._strict = strict
        self._enqueued = 0
        self._bad = 0

    def send(self) -> None:
        """Enqueue the lines in batches and exit with the code that tells whether all were."""
        with _progress() as (progress, task):
            if self._strict and not self._all_good(progress, task):
                progress.stop()
                click.echo(f"{self._bad} bad lines; nothing was sent", err=True)
                sys.exit(INCOMPLETE)
            for batch in _batched(self._lines(progress, task)):
                self._send(batch)
        click.echo(f"{self._enqueued} enqueued, {self._bad} not", err=True)
        if self._bad:
            sys.exit(INCOMPLETE)

    def _all_good(self, progress: Progress, task: TaskID) -> bool:
        if not self._source.seekable():
            self._source = _spooled(self._source)
        for _ in self._lines(progress, task):
            pass
        self._source.seek(0)
        progress.reset(task)
        return not self._bad

    def _lines(self, progress: Progress, task: TaskID) -> Iterator[Line]:
        """Yield the good lines; report the bad ones."""
        size = os.fstat(self._source.fileno()).st_size if self._source.seekable() else None
        progress.update(task, total=size or None)
        for line in read_lines(_counted(self._source, progress, task)):
            if line.submission is None:
                self._report(line.number, line.problem)
            else:
                yield line

    def _send(self, batch: list[Line]) -> None:
        submissions = [line.submission for line in batch if line.submission]
        try:
            results = self._outbox.try_send_many(submissions)
        except OutboxUnavailable as exc:
            click.echo(f"Error: lines {batch[0].number} and after: {exc}", err=True)
            click.echo(f"{self._enqueued} enqueued before that", err=True)
            sys.exit(UNAVAILABLE)
        for line, result in zip(batch, results, strict=True):
            if isinstance(result, Receipt):
                self._enqueued += 1
                click.echo(result.job_id)
            else:
                self._report(line.number, str(result))

    def _report(self, number: int, problem: str) -> None:
        self._bad += 1
        click.echo(f"line {number}: {problem}", err=True)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        source = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as exc:
        raise click.UsageError(f"--jsonl: {name!r} can't be read: {exc.strerror}") from exc
    with source:
        yield source


def _spooled(source: BinaryIO) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the run
    for piece in source:
        spool.write(piece)
    spool.seek(0)
    return spool


def _counted(source: BinaryIO, progress: Progress, task: TaskID) -> Iterator[bytes]:
    for line in source:
        yield line
        progress.advance(task, len(line))


def _batched(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH_MESSAGES:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield progress, progress.add_task("enqueueing", total=None)
