"""Puts exported dead letters back into a Redis that has lost them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from redis import Redis

from rq_ses import contract
from rq_ses.campaign.names import BUCKET, FIELD
from rq_ses.deadletter.reading.record import Row, SharedRow, read_record
from rq_ses.keys import keys_of
from rq_ses.outbox.batching import batches
from rq_ses.server.partitions import Partitions
from rq_ses.server.script import registered
from rq_ses.states import FAILED, QUEUED
from rq_ses.text.plaintext import one_line
from rq_ses.text.textfile import read_lines

LINE_LIMIT: Final = 128 * 1024 * 1024
"""Bytes of a line: the largest mail, even with most of its text in JSON's six-byte escapes."""

BATCH: Final = 200
BATCH_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Exported:
    """What an export has written, and what it couldn't."""

    exported: int = 0
    unreadable: int = 0
    gone: int = 0
    foreign: int = 0


@dataclass(slots=True)
class Restored:
    """What an import has done with its lines."""

    failed: int = 0
    """Put back into the failed registry."""
    queued: int = 0
    """Put into the queue."""
    unknown: int = 0
    """Of those put back as failed: kept from the queue because SES may have accepted them."""
    exists: int = 0
    """Left: a job of that id is there."""
    bad: int = 0
    """Lines that couldn't be used."""
    lines: int = 0


class Archive:
    """Puts exported mails back.

    Args:
        partitions: the clients.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._script = registered(partitions.own, "deadletter/restore")

    def restore(
        self,
        source: BinaryIO,
        *,
        resend: bool,
        include_unknown: bool,
        on_problem: Callable[[int, str], None] | None,
        on_progress: Callable[[Restored], None] | None,
    ) -> Restored:
        """Restore what `source` holds (see DeadLetters.restore)."""
        result = Restored()
        usable = self._usable(source, result, on_problem, resend=resend, include_unknown=include_unknown)
        for batch in batches(usable, most=BATCH, most_bytes=BATCH_BYTES):
            places: dict[tuple[Redis, str], list[Row]] = {}
            for row in batch:
                places.setdefault((self._partitions.of(row.job_id), row.queue), []).append(row)
            for (client, queue), rows in places.items():
                self._write(client, queue, rows, result)
            if on_progress:
                on_progress(result)
        return result

    def _usable(
        self,
        source: BinaryIO,
        result: Restored,
        on_problem: Callable[[int, str], None] | None,
        *,
        resend: bool,
        include_unknown: bool,
    ) -> Iterator[Row]:
        for number, line, _ in read_lines(source, limit=LINE_LIMIT):
            result.lines = number
            try:
                yield read_record(line or b"{", resend=resend, include_unknown=include_unknown)
            except ValueError as exc:
                result.bad += 1
                if on_problem:
                    on_problem(number, one_line(str(exc), 1000))

    def _write(self, client: Redis, queue: str, batch: list[Row], result: Restored) -> None:
        names = keys_of(client)
        keys = [names.registry(FAILED, queue), names.queue(queue), names.queues, names.scratch]
        args: list[Any] = [names.job_prefix, names.results_prefix, queue, names.wake(queue)]
        args += [contract.KEY_FIELD, contract.RECIPIENTS_FIELD, contract.CAMPAIGN_FIELD]
        args += [names.campaign(""), names.terms(""), names.campaigns, BUCKET, FIELD]
        written: set[str] = set()
        for entry in batch:
            args += (*entry.fields, *_shared(entry.shared, written))
        with self._partitions.naming(client):
            words = self._script(keys=keys, args=args, client=client)
        for entry, word in zip(batch, words, strict=True):
            if word == b"exists":
                result.exists += 1
            elif entry.fields[1] == QUEUED:
                result.queued += 1
            else:
                result.failed += 1
                result.unknown += entry.unknown


def _shared(shared: SharedRow | None, written: set[str]) -> tuple[bytes | str, ...]:
    """Return what restore.lua takes of a campaign's entries: the terms with the first that has them."""
    if shared is None:
        return ("",) * 4
    data = "" if shared.terms.hash in written else shared.terms.data
    written.add(shared.terms.hash)
    return shared.campaign, shared.terms.hash, data, shared.known
