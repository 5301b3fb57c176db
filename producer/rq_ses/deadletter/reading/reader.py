"""Reads failed registries page by page, in constant memory and without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses import contract
from rq_ses.deadletter.reading.deadletter import DeadLetter, Entry, entries, read_letter
from rq_ses.deadletter.reading.filter import Filter, Matcher
from rq_ses.deadletter.reading.payload import Payload, Unreadable, is_ours, read_payload
from rq_ses.deadletter.reading.shared import SharedTerms
from rq_ses.keys import keys_of
from rq_ses.outbox.batching import batches
from rq_ses.server.jobdata import DATA_LIMIT
from rq_ses.server.script import registered
from rq_ses.server.serverclock import server_time
from rq_ses.states import FAILED

PAGE: Final = 500
PAGE_BYTES: Final = 4 * 1024 * 1024
DATA_BYTES: Final = 8 * 1024 * 1024
"""Bytes of payloads that are fetched together; a larger one has a fetch of its own."""

DATA_ALONG: Final = 65_536
"""Bytes of a payload that comes with the rest of its mail; larger ones are fetched by themselves."""

_FAILED: Final = FAILED.encode()


class _Found(NamedTuple):
    """A dead letter, and its job's data if that came along."""

    letter: DeadLetter
    data: bytes

    @property
    def size(self) -> int:
        return self.letter.size


@dataclass(slots=True)
class Passed:
    """What a reading passed over."""

    gone: int = 0
    foreign: int = 0
    again: int = 0
    """Resent since `Reader.letters` was told to look for that, and failed anew."""
    partly: int = 0
    """Entries of a campaign that failed together, of which not all are wanted: see `checked`."""


class Reader:
    """Yields the dead letters of some queues, those that failed first before later ones.

    Raises redis.RedisError from every method that reads.

    Args:
        connection: a client.
        queues: names of RQ queues.
    """

    def __init__(self, connection: Redis, queues: Sequence[str]) -> None:
        self._connection: Any = connection
        self._queues = tuple(queues)
        self._keys = keys_of(connection)
        self._script = registered(connection, "deadletter/reading/read")
        self._shared = SharedTerms(connection)

    def letters(
        self,
        wanted: Filter,
        passed: Passed,
        *,
        payloads: bool = False,
        checked: bool = False,
        since: float = 0,
    ) -> Iterator[DeadLetter]:
        """Yield the dead letters that are wanted.

        Args:
            wanted: which.
            passed: counts what is passed over.
            payloads: read their payloads, too.
            checked: make sure of each one, by its payload, that it is a mail of ours; else those whose report
                doesn't show it are looked at. Of a campaign's entries that failed together all must be
                wanted then, in place of any: they are moved together.
            since: pass over what was resent at that moment or later (epoch seconds of the server; 0: none).
        """
        now = datetime.fromtimestamp(server_time(self._connection), UTC) if wanted.needs_clock else None
        matcher = wanted.matcher(now)
        need = payloads or wanted.needs_payload
        fits = partial(_fitting, matcher, whole=checked) if wanted.needs_payload else None
        for queue, page in self._pages(wanted, along=DATA_ALONG if need or checked else 0):
            failed = _failed(page, passed, named=wanted.ids is not None, since=since)
            read = [_Found(read_letter(entry, queue, self._keys.prefix), entry.data) for entry in failed]
            found = [one for one in read if matcher.fits_failure(one.letter)]
            if need:
                yield from self._with_payload(found, passed, fits)
            elif checked:
                yield from (letter for letter, _ in self._looked_at(found, passed))
            else:
                yield from self._plausible(found, passed)

    def _plausible(self, found: list[_Found], passed: Passed) -> Iterator[DeadLetter]:
        """Yield letters in order; those whose report doesn't show that they are mails are looked at."""
        doubtful = [one for one in found if not one.letter.reported or one.letter.code == "JobRefused"]
        ours = {letter.job_id for letter, _ in self._looked_at(doubtful, passed)}
        doubted = {letter.job_id for letter, _ in doubtful}
        yield from (one for one, _ in found if one.job_id in ours or one.job_id not in doubted)

    def _with_payload(
        self, found: list[_Found], passed: Passed, fits: Callable[[Payload, Passed], bool] | None
    ) -> Iterator[DeadLetter]:
        """Yield letters with their payloads, if these fit; one that can't be read fits no filter."""
        for letter, data in self._looked_at(found, passed):
            try:
                payload = read_payload(data)
            except Unreadable:
                if fits is None:
                    yield letter
                continue
            if payload.is_bulk:
                payload = replace(payload, shared=self._shared.of(payload))
            if fits is None or fits(payload, passed):
                yield replace(letter, payload=payload)

    def _looked_at(self, found: list[_Found], passed: Passed) -> Iterator[_Found]:
        """Yield those that are mails of ours, each with its data."""
        for batch in batches(found, most=PAGE, most_bytes=DATA_BYTES):
            # What is larger than any mail isn't even fetched.
            wanted = [one.letter for one in batch if not one.data and one.letter.size <= DATA_LIMIT]
            fetched = iter(self._fetched(wanted))
            for letter, data in batch:
                if letter.size > DATA_LIMIT:
                    passed.foreign += 1
                    continue
                known = data or next(fetched)
                if known is None:
                    passed.gone += 1
                elif is_ours(known):
                    yield _Found(letter, known)
                else:
                    passed.foreign += 1

    def _fetched(self, letters: list[DeadLetter]) -> list[bytes | None]:
        if not letters:
            return []
        with self._connection.pipeline(transaction=False) as pipeline:
            for letter in letters:
                pipeline.hget(self._keys.job(raw_id(letter.job_id)), "data")
            fetched = pipeline.execute(raise_on_error=False)
        for data in fetched:
            # A key that has become another type meanwhile is no job any more.
            if isinstance(data, RedisError) and not isinstance(data, ResponseError):
                raise data
        return [data if isinstance(data, bytes) else None for data in fetched]

    def _pages(self, wanted: Filter, *, along: int) -> Iterator[tuple[str, list[Entry]]]:
        for queue in self._queues:
            key = self._keys.registry(FAILED, queue)
            if wanted.ids is not None:
                pages = self._named(key, iter(dict.fromkeys(wanted.ids)), along)
            else:
                pages = self._all(key, along)
            yield from ((queue, page) for page in _ahead(pages))

    def _named(self, key: str, ids: Iterator[str], along: int) -> Iterator[list[Entry]]:
        while names := list(islice(ids, PAGE)):
            while names:
                page = self._read(key, along, "ids", *map(raw_id, names))
                yield page
                names = names[len(page) :]

    def _all(self, key: str, along: int) -> Iterator[list[Entry]]:
        last = self._connection.zrange(key, -1, -1, withscores=True)
        if not last:
            return
        # What fails while we read comes later; a reader that followed it might never end.
        [(last_id, last_score)] = last
        end = (last_score, last_id)
        score, job_id = b"", b""
        while page := self._read(key, along, "after", score, job_id):
            kept = [entry for entry in page if (float(entry.score), entry.job_id) <= end]
            yield kept
            if len(kept) < len(page):
                return
            score, job_id = page[-1].score, page[-1].job_id

    def _read(self, key: str, along: int, *where: str | bytes) -> list[Entry]:
        args = [
            self._keys.job_prefix,
            contract.RESENT_FIELD,
            PAGE_BYTES,
            PAGE,
            along,
            self._keys.results_prefix,
            contract.CAMPAIGN_FIELD,
            contract.RECIPIENTS_FIELD,
            *where,
        ]
        return list(entries(self._script(keys=[key, self._keys.scratch], args=args)))


def _fitting(matcher: Matcher, payload: Payload, passed: Passed, *, whole: bool) -> bool:
    """Tell whether a payload's mails are wanted: any of them, or `whole` all."""
    count = matcher.fitting(payload)
    if whole and 0 < count < len(payload.mails()):
        passed.partly += 1
        return False
    return count > 0


def _failed(page: list[Entry], passed: Passed, *, named: bool, since: float) -> Iterator[Entry]:
    """Yield the entries of a page that are failed jobs; `named`: by their ids, and not by the registry."""
    for entry in page:
        if not entry.score and named:
            continue
        if entry.status != _FAILED:
            passed.gone += 1
        elif since and _seconds(entry.resent_at) >= since:
            passed.again += 1
        else:
            yield entry


def _ahead(pages: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
    """Yield pages, the next of which the server reads while this one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="dead-letters") as pool:
        coming = pool.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = pool.submit(next, pages, None)
            yield page


def raw_id(job_id: str) -> bytes:
    """Return a job id as it stands in Redis: whatever bytes somebody wrote there."""
    return job_id.encode("utf-8", "surrogateescape")


def _seconds(raw: bytes) -> float:
    try:
        return float(raw) if raw else 0.0
    except ValueError:
        return 0.0
