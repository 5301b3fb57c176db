"""`rq-ses campaign send`: enqueue a campaign's entries from a file of any length; run again, it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.checking import Checker
from rq_ses.campaign.entry import Entry
from rq_ses.cli.campaign.entryfile import Format, Row, read_rows
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE
from rq_ses.cli.terminal.progress import Display
from rq_ses.errors import (
    CampaignConflict,
    DurabilityUnconfirmed,
    OutboxUnavailable,
    RqSesError,
    SendBulkInterrupted,
)
from rq_ses.outbox.outbox import Outbox
from rq_ses.receipt import CampaignReceipt

_SHOWN: Final = 20
"""Bad lines that are told one by one."""

_STEP: Final = 500
"""Rows after which the progress bar moves."""

AGAIN: Final = "run the same command again: what is enqueued already is not enqueued again"


class _BadLine(Exception):
    """Ends a pass at a line that can't be sent."""


@dataclass(slots=True)
class Sending:
    """One campaign that is sent from a file.

    Attributes:
        outbox: through which.
        campaign: which.
        kind: the file's format.
        skip_bad: whether lines that can't be sent are passed over.
        durable: whether each step waits for the disk.
        as_json: whether what was done is printed as JSON.
    """

    outbox: Outbox
    campaign: Campaign
    kind: Format
    skip_bad: bool = False
    durable: bool = False
    as_json: bool = False
    _bad: int = 0
    _told: bool = True
    _display: Display = field(default_factory=Display)

    def run(self, source: BinaryIO) -> int:
        """Check all entries, where the file can be read twice, and enqueue them; return the exit code."""
        with self._display:
            try:
                if source.seekable():
                    start = source.tell()
                    for _ in self._good(source, "checking", stop=False):
                        pass
                    if self._bad and not self.skip_bad:
                        more = f" ({self._bad - _SHOWN} more)" if self._bad > _SHOWN else ""
                        self._say(
                            f"{_lines(self._bad)} bad{more}: nothing was enqueued (--skip-bad passes them by)"
                        )
                        return INCOMPLETE
                    source.seek(start)
                    self._told = False
                    self._bad = 0
                return self._send(source)
            except KeyboardInterrupt:
                self._say(f"interrupted: {AGAIN}; `rq-ses campaign status {self.campaign.name}` counts them")
                return INCOMPLETE
            except OSError as exc:
                self._say(f"Error: the entries can't be read any more ({exc.strerror or exc}): {AGAIN}")
                return INCOMPLETE

    def _send(self, source: BinaryIO) -> int:
        entries = self._good(source, "enqueueing", stop=not self.skip_bad)
        try:
            receipt = self.outbox.send_bulk(self.campaign, entries, durable=self.durable)
        except SendBulkInterrupted as exc:
            if not isinstance(exc.__cause__, _BadLine):
                # A file that is no text, or can't be read any more, says so by itself.
                raise exc.__cause__ or exc from None
            self._end(exc, f"it can't be sent: mend it, and {AGAIN} (--skip-bad passes over it)")
            return INCOMPLETE
        except (CampaignConflict, DurabilityUnconfirmed) as exc:
            self._end(exc, f"Error: {exc}")
            return INCOMPLETE
        except OutboxUnavailable as exc:
            self._end(exc, f"Error: {exc.reason}: {exc.remedy or 'check Redis'}; then {AGAIN}")
            return UNAVAILABLE
        except ValueError as exc:
            self._say(f"Error: {exc}: nothing was enqueued")
            return INCOMPLETE
        self._summary(receipt)
        return INCOMPLETE if self._bad else OK

    def _good(self, source: BinaryIO, description: str, *, stop: bool) -> Iterator[Entry]:
        """Yield the entries that can be sent; tell of the others, or with `stop` end at the first."""
        checker = Checker(self.campaign)
        with self._display.task(description, source) as advance:
            size = 0
            for count, row in enumerate(read_rows(source, self.kind), 1):
                size += row.size
                if count % _STEP == 0:
                    advance(size, row.number)
                    size = 0
                if problem := _problem(row, checker):
                    self._note(row.number, problem)
                    if stop:
                        raise _BadLine
                elif row.entry is not None:
                    yield row.entry

    def _note(self, number: int, problem: str) -> None:
        self._bad += 1
        if self._told and self._bad <= _SHOWN:
            self._display.note(f"line {number}: {problem}")

    def _end(self, exc: RqSesError, why: str) -> None:
        if exc.campaign:
            self._summary(exc.campaign)
        self._say(why)

    def _summary(self, receipt: CampaignReceipt) -> None:
        for name in receipt.unused:
            self._say(f"warning: the data have {name}, for which the template has no placeholder")
        known = f", {receipt.duplicates:,} were before" if receipt.duplicates else ""
        bad = f", {_lines(self._bad)} bad and passed over" if self._bad and self.skip_bad else ""
        self._say(f"campaign {receipt.name}: {receipt.enqueued:,} enqueued{known}{bad}")
        if self.as_json:
            told = {"campaign": receipt.name, "enqueued": receipt.enqueued, "duplicates": receipt.duplicates}
            self._display.data(json.dumps({**told, "bad": self._bad, "unused": list(receipt.unused)}))

    def _say(self, text: str) -> None:
        self._display.note(text)


def _problem(row: Row, checker: Checker) -> str:
    return row.problem if row.entry is None else checker.problem(row.entry)


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count:,} lines are"
