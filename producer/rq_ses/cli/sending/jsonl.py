"""`rq-ses send --jsonl`: enqueue a file's messages in batches, whatever its length."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import click
from redis.exceptions import RedisError

from rq_ses.cli.sending.keys import Keys
from rq_ses.cli.sending.lines import Line, read_lines
from rq_ses.cli.terminal.exits import INCOMPLETE, UNAVAILABLE
from rq_ses.cli.terminal.output import echo
from rq_ses.cli.terminal.progress import Display
from rq_ses.errors import DurabilityUnconfirmed, OutboxUnavailable
from rq_ses.interrupts import interrupts_held
from rq_ses.outbox.batching import BATCH_MESSAGES, batches
from rq_ses.outbox.call import OnConflict
from rq_ses.outbox.outbox import Outbox
from rq_ses.outbox.submission import Submission
from rq_ses.receipt import Receipt
from rq_ses.server.refusal import read_refusal

BATCH_INPUT: Final = 2 * 1024 * 1024
"""Bytes of input after which a batch is full: so few that the outbox never splits it into several steps."""


def send_lines(
    outbox: Outbox,
    source: BinaryIO,
    *,
    strict: bool,
    durable: bool = False,
    on_conflict: OnConflict = "raise",
) -> int:
    """Enqueue the lines of `source`, print their job ids in order, report bad lines on stderr.

    Returns the exit code. With `strict` every line is checked, its key in Redis included, before the first is
    sent; what cannot be read twice is copied to a temporary file for that. Ctrl-C takes effect between two
    batches, and is told with the line to go on at.
    """
    with Display() as display:
        run = _Run(outbox, display, durable=durable, on_conflict=on_conflict)
        try:
            if strict:
                with _rereadable(source) as file:
                    start = file.tell()
                    code = run.check(file)
                    if not code:
                        file.seek(start)
                        code = run.send(file)
            else:
                code = run.send(source)
        except KeyboardInterrupt:
            code = run.ended_early("interrupted")
        except OSError as exc:
            code = run.ended_early(f"Error: the lines can't be read any more ({exc.strerror or exc})")
    echo(run.summary, err=True)
    return code


class _Run:
    """One pass or two over the lines, and the count of what became of them."""

    def __init__(self, outbox: Outbox, display: Display, *, durable: bool, on_conflict: OnConflict) -> None:
        self._outbox = outbox
        self._durable = durable
        self._on_conflict = on_conflict
        self._display = display
        self._enqueued = self._before = self._bad = 0
        self._sending = False
        self._next = 1
        self._doubt = ""
        self._code = 0
        self.summary = ""

    def check(self, source: BinaryIO) -> int:
        """Report what is wrong with the lines and send nothing; return the exit code."""
        keys = Keys(self._outbox.connections, self._outbox.queue)
        for batch, _ in self._batches(source, "checking"):
            try:
                for number, submission in batch:
                    try:
                        submission.options(self._outbox.server_time)
                    except ValueError as exc:
                        self._report(number, str(exc))
                if self._on_conflict == "raise":
                    for number, problem in keys.conflicts(batch):
                        self._report(number, problem)
            except OutboxUnavailable as exc:
                self.summary = f"Error: {exc}: nothing was sent"
                return UNAVAILABLE
            except RedisError as exc:
                refusal = read_refusal(exc)
                remedy = f"; {refusal.remedy}" if refusal.remedy else ""
                self.summary = (
                    f"Error: Redis did not tell which keys it knows ({refusal.reason}): "
                    f"nothing was sent{remedy}"
                )
                return UNAVAILABLE
        self.summary = f"{_lines(self._bad)} bad: nothing was sent"
        return INCOMPLETE if self._bad else 0

    def send(self, source: BinaryIO) -> int:
        """Enqueue the good lines and report the bad ones; return the exit code."""
        self._sending, self.summary = True, ""
        for batch, last in self._batches(source, "enqueueing"):
            with interrupts_held():
                receipts, reports = self._send(batch)
                if not self.summary:
                    self._next = last + 1
            for number, problem in reports:
                self._display.note(f"line {number}: {problem}")
            if receipts:
                self._display.data("\n".join(receipt.job_id for receipt in receipts))
            if self.summary:
                return self._code
        self.summary = self._counts()
        return INCOMPLETE if self._bad else 0

    def ended_early(self, why: str) -> int:
        """Say in the summary why, what was done, and where to go on; return the exit code."""
        if not self._sending:
            self.summary = f"{why}: nothing was sent"
        elif not self.summary:
            doubt = f"; {self._doubt} may be enqueued or not" if self._doubt else ""
            self.summary = f"{self._counts()}{doubt}\n{why}: go on at line {self._next}"
        return self._code or INCOMPLETE

    def _send(self, batch: list[tuple[int, Submission]]) -> tuple[list[Receipt], list[tuple[int, str]]]:
        """Enqueue a batch and count it; return its receipts, and what is to be said of other lines.

        With an error that ends the run there is a summary, and an exit code.
        """
        self._doubt = lines = f"lines {batch[0][0]} to {batch[-1][0]}"
        submissions = [submission for _, submission in batch]
        ending: DurabilityUnconfirmed | None = None
        try:
            results = self._outbox.try_send_many(
                submissions, durable=self._durable, on_conflict=self._on_conflict
            )
        except DurabilityUnconfirmed as exc:
            results = list(exc.results)
            self._code, ending = INCOMPLETE, exc
        except OutboxUnavailable as exc:
            self._code = UNAVAILABLE
            self.summary = f"Error: {lines}: {exc}\n{self._counts()} before that"
            return [], []
        self._doubt = ""
        receipts, reports = [], []
        for (number, submission), result in zip(batch, results, strict=bool(results)):
            if isinstance(result, Receipt):
                receipts.append(result)
                if result.conflict:
                    reports.append(
                        (number, f"key {submission.key!r} stands for another message, which is kept")
                    )
            else:
                self._bad += 1
                reports.append((number, str(result)))
        self._enqueued += len(receipts)
        self._before += sum(receipt.duplicate for receipt in receipts)
        if ending:
            self.summary = f"Error: {lines}: {ending}\n{self._counts()}; what follows was not sent"
        return receipts, reports

    def _batches(
        self, source: BinaryIO, description: str
    ) -> Iterator[tuple[list[tuple[int, Submission]], int]]:
        """Yield the good lines in batches, each with its number, and the last number; report the bad ones."""
        with self._display.task(description, source) as advance:
            for batch in _batched(read_lines(source)):
                good = []
                last = batch[-1].number
                for line in batch:
                    if line.submission is None:
                        self._report(line.number, line.problem)
                    else:
                        good.append((line.number, line.submission))
                if good:
                    yield good, last
                elif self._sending:
                    self._next = last + 1
                advance(sum(line.size for line in batch), last)

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
