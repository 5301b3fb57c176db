"""All campaigns under one prefix as they are at about one moment: their records, jobs and terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.deadletter.reading.payload import Unreadable, read_payload
from rq_ses.keys import keys_of
from rq_ses.server.stored import answered
from rq_ses_worker.audit.campaigns.records import FIELDS, Record, Tally

BATCH: Final = 1000
"""Keys that are read in one round trip."""


@dataclass(slots=True)
class Seen:
    """What stands there."""

    records: dict[str, Record] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    """Those in the set of all campaigns."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    terms: set[str] = field(default_factory=set)
    """Hashes of the terms that stand there."""

    def tally(self, name: str) -> Tally:
        """Return what the jobs of a campaign have."""
        return self.tallies.setdefault(name, Tally())


class Looking:
    """Reads all campaigns under one prefix. Its methods raise RedisError.

    Args:
        connection: any client.
        tell: called with the number of keys read so far.
    """

    def __init__(self, connection: Redis, tell: Callable[[int], None]) -> None:
        self._connection: Any = connection
        self._keys = keys_of(connection)
        self._tell = tell

    def any(self) -> bool:
        """Tell whether there may be campaigns: where there are none, jobs needn't be read for them."""
        if self._connection.exists(self._keys.campaigns):
            return True
        patterns = (f"{self._keys.campaign('')}*", f"{self._keys.terms('')}*")
        found = (self._connection.scan_iter(pattern, count=BATCH) for pattern in patterns)
        return any(next(iter(keys), None) is not None for keys in found)

    def look(self) -> Seen:
        """Return what stands there."""
        seen, names, read = Seen(), set[str](), 0
        for keys in _chunks(self._connection.scan_iter(f"{self._keys.root}*", count=BATCH)):
            self._add_jobs(_behind(keys, self._keys.job_prefix), seen)
            seen.terms.update(map(text, _behind(keys, self._keys.terms(""))))
            # Behind the record's name stand those of its index.
            names.update(map(text, _behind(keys, self._keys.campaign(""))))
            read += len(keys)
            self._tell(read)
        seen.named = frozenset(map(text, self._connection.smembers(self._keys.campaigns)))
        for name in names | seen.named | seen.tallies.keys():
            seen.records[name] = self._record(name)
        return seen

    def job(self, job_id: bytes) -> tuple[str, str]:
        """Return the queue of a job, and the hash of its terms; "" where that isn't known."""
        origin, data = self._fields(self._keys.job(job_id), ("origin", "data"))
        return text(origin or b""), _terms_of(data)

    def used(self) -> set[str]:
        """Return the terms that jobs name."""
        used: set[str] = set()
        jobs = self._connection.scan_iter(f"{self._keys.job_prefix}*", count=BATCH, _type="HASH")
        for keys in _chunks(jobs):
            with self._connection.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hmget(key, contract.CAMPAIGN_FIELD, "data")
                answers = [answered(answer) for answer in pipeline.execute(raise_on_error=False)]
            used.update(_terms_of(answer[1]) for answer in answers if answer and answer[0] is not None)
        return used

    def _add_jobs(self, ids: Sequence[bytes], seen: Seen) -> None:
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                job = self._keys.job(job_id)
                pipeline.hmget(job, "status", contract.CAMPAIGN_FIELD, contract.RECIPIENTS_FIELD)
            answers = [answered(answer) for answer in pipeline.execute(raise_on_error=False)]
        for job_id, answer in zip(ids, answers, strict=True):
            if answer and answer[1] is not None:
                status, name, entries = answer
                number = int(entries) if entries and entries.isdigit() and len(entries) < 10 else 1
                seen.tally(text(name)).add(job_id, text(status or b""), number)

    def _record(self, name: str) -> Record:
        values = self._fields(self._keys.campaign(name), FIELDS)
        return {
            one: None if value is None else text(value) for one, value in zip(FIELDS, values, strict=True)
        }

    def _fields(self, key: str | bytes, names: Sequence[str]) -> Sequence[bytes | None]:
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.hmget(key, names)
            [answer] = pipeline.execute(raise_on_error=False)
        # A key of another type has none of them.
        return answered(answer) or [None] * len(names)


def text(raw: bytes) -> str:
    """Return a name as it stands in Redis."""
    return raw.decode("utf-8", "replace")


def _behind(keys: Sequence[bytes], prefix: str) -> list[bytes]:
    """Return what of some keys stands behind a prefix, if it has no colon."""
    start = prefix.encode()
    found = [key[len(start) :] for key in keys if key.startswith(start)]
    return [name for name in found if b":" not in name]


def _terms_of(data: bytes | None) -> str:
    try:
        terms = read_payload(data or b"").fields.get("terms")
    except Unreadable:
        return ""
    return terms if isinstance(terms, str) else ""


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(items, BATCH)):
        yield chunk
