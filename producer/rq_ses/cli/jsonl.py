"""`rq-ses send --jsonl`: enqueue a file's messages in batches, whatever its length."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click
from redis.exceptions import RedisError

from rq_ses.batching import batches
from rq_ses.cli.display import Display
from rq_ses.cli.exits import INCOMPLETE, UNAVAILABLE
from rq_ses.cli.keys import Keys
from rq_ses.cli.lines import Line, read_lines
from rq_ses.errors import DurabilityUnconfirmed, OutboxUnavailable
from rq_ses.outbox import BATCH_MESSAGES, Outbox, Receipt
from rq_ses.plaintext import one_line
from rq_ses.submission import Submission
from rq_ses.textfile import NotText

BATCH_INPUT: Final = 2 * 1024 * 1024
"""Bytes of input after which a batch is full: so few that the outbox never splits it into several steps."""


def send_lines(outbox: Outbox, source: BinaryIO, *, strict: bool, durable: bool = False) -> int:
    """Enqueue the lines of `source`, print their job ids in order, report bad lines on stderr.

    Returns the exit code. With `strict` every line is checked, its key in Redis included, before the first is
    sent; what cannot be read twice is copied to a temporary file for that.
    """
    with Display() as display:
        run = _Run(outbox, display, durable=durable)
        if strict:
            with _rereadable(source) as file:
                start = file.tell()
                code = run.check(file)
                if not code:
                    file.seek(start)
                    code = run.send(file)
        else:
            code = run.send(source)
    click.echo(run.summary, err=True)
    return code


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open the file of that name, or standard input for "-"; what can't be read is a click.UsageError."""
    try:
        with _source(name) as source:
            yield source
    except NotText as exc:
        raise click.UsageError(f"--jsonl: {name!r} can't be read: {exc}") from exc


@contextmanager
def _source(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        if sys.stdin is None:
            raise click.UsageError("--jsonl: standard input is closed: give a file")
        yield sys.stdin.buffer
        return
    try:
        source = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as exc:
        raise click.UsageError(f"--jsonl: {name!r} can't be read: {exc.strerror}") from exc
    with source:
        yield source


class _Run:
    """One pass or two over the lines, and the count of what became of them."""

    def __init__(self, outbox: Outbox, display: Display, *, durable: bool) -> None:
        self._outbox = outbox
        self._durable = durable
        self._display = display
        self._enqueued = self._before = self._bad = 0
        self.summary = ""

    def check(self, source: BinaryIO) -> int:
        """Report what is wrong with the lines and send nothing; return the exit code."""
        keys = Keys(self._outbox.connection, self._outbox.queue)
        for batch in self._batches(source, "checking"):
            try:
                for number, problem in keys.conflicts(batch):
                    self._report(number, problem)
            except RedisError as exc:
                reason = one_line(f"{type(exc).__name__}: {exc}", 200)
                self.summary = f"Error: Redis did not tell which keys it knows ({reason}): nothing was sent"
                return UNAVAILABLE
        self.summary = f"{_lines(self._bad)} bad: nothing was sent"
        return INCOMPLETE if self._bad else 0

    def send(self, source: BinaryIO) -> int:
        """Enqueue the good lines and report the bad ones; return the exit code."""
        for batch in self._batches(source, "enqueueing"):
            try:
                results = self._outbox.try_send_many(
                    [submission for _, submission in batch], durable=self._durable
                )
            except DurabilityUnconfirmed as exc:
                if exc.receipts:
                    self._display.data("\n".join(receipt.job_id for receipt in exc.receipts))
                self._enqueued += len(exc.receipts)
                lines = f"lines {batch[0][0]} to {batch[-1][0]}"
                self.summary = f"Error: {lines}: {exc}\n{self._counts()}; what follows was not sent"
                return INCOMPLETE
            except OutboxUnavailable as exc:
                lines = f"lines {batch[0][0]} to {batch[-1][0]}"
                self.summary = f"Error: {lines}: {exc}\n{self._counts()} before that"
                return UNAVAILABLE
            receipts = []
            for (number, _), result in zip(batch, results, strict=True):
                if isinstance(result, Receipt):
                    receipts.append(result)
                else:
                    self._report(number, str(result))
            self._enqueued += len(receipts)
            self._before += sum(receipt.duplicate for receipt in receipts)
            if receipts:
                self._display.data("\n".join(receipt.job_id for receipt in receipts))
        self.summary = self._counts()
        return INCOMPLETE if self._bad else 0

    def _batches(self, source: BinaryIO, description: str) -> Iterator[list[tuple[int, Submission]]]:
        """Yield the good lines in batches, each with its number; report the bad ones."""
        with self._display.task(description, source) as advance:
            for batch in _batched(read_lines(source)):
                good = []
                for line in batch:
                    if line.submission is None:
                        self._report(line.number, line.problem)
                    else:
                        good.append((line.number, line.submission))
                if good:
                    yield good
                advance(sum(line.size for line in batch), batch[-1].number)

    def _report(self, number: int, problem: str) -> None:
        self._bad += 1
        self._display.note(f"line {number}: {problem}")

    def _counts(self) -> str:
        before = f" ({self._before} of them earlier, under their keys)" if self._before else ""
        return f"{self._enqueued} enqueued{before}, {self._bad} not"


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def _batched(lines: Iterable[Line]) -> Iterator[list[Line]]:
    return batches(lines, most=BATCH_MESSAGES, most_bytes=BATCH_INPUT)


@contextmanager
def _rereadable(source: BinaryIO) -> Iterator[BinaryIO]:
    if source.seekable():
        yield source
        return
    with tempfile.TemporaryFile() as copy:
        try:
            shutil.copyfileobj(source, copy)
            copy.seek(0)
        except OSError as exc:
            raise click.ClickException(f"--strict: no room for a copy ({exc.strerror}): set TMPDIR") from exc
        yield copy
