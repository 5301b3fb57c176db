"""Entries on their way into bulk jobs: which are full, which are asked about, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rq_ses import contract
from rq_ses.campaign import bulkjob
from rq_ses.campaign.bulkjob import BulkJob, QueuedEntry
from rq_ses.campaign.entry import Entry
from rq_ses.campaign.names import BUCKET, FIELD, EntryIds, bulk_job_id
from rq_ses.message import address
from rq_ses.message.frozen import EMPTY
from rq_ses.partition import partition_of

JOBS: Final = 40
"""Jobs of one call at most."""

ASKED: Final = 2000
"""Entries that one call asks about."""

JOB_BYTES: Final = 512 * 1024
"""Bytes of data in one job, about, that close it: an entry with more has a job of its own."""

CALL_BYTES: Final = 4 * 1024 * 1024
"""Bytes of data in one call, about."""

_SMALL: Final = 200
"""Bytes of an entry beside its data."""


class Known(NamedTuple):
    """An entry that knows its id, and where the index has it."""

    entry: QueuedEntry
    name: bytes
    """The character that names its hash in the index, and the 12 bytes that are its field."""
    size: int


class Job(NamedTuple):
    """A bulk job as enqueue.lua takes it; one of number 0 is none, only asked about."""

    number: int
    job_id: str
    description: str
    data: bytes
    entries: Sequence[Known]

    @property
    def fields(self) -> tuple[str | bytes, ...]:
        """Return its arguments."""
        names = b"".join([known.name for known in self.entries])
        return str(self.number), self.job_id, self.description, self.data, names


class Stored(NamedTuple):
    """A campaign as Redis has it."""

    name: str
    terms: bulkjob.StoredTerms
    options: Mapping[str, Any]
    engine: str
    """Who fills its template."""


class Numbers:
    """The numbers of a campaign's jobs whose ids belong to one partition."""

    def __init__(self, campaign: str, place: int, partitions: int) -> None:
        self._campaign = campaign
        self._place = place
        self._partitions = partitions
        self._next = self._end = 0

    @property
    def range(self) -> int:
        """How many are to be taken at once."""
        return 100 * JOBS * self._partitions

    def give(self, first: int) -> None:
        """Take the numbers that begin with this one, `range` of them."""
        self._next, self._end = first, first + self.range

    def take(self) -> tuple[int, str] | None:
        """Return the next number, and the id of its job; None when there is none left."""
        while self._next < self._end:
            number, self._next = self._next, self._next + 1
            job_id = bulk_job_id(self._campaign, number)
            if self._partitions == 1 or partition_of(job_id, self._partitions) == self._place:
                return number, job_id
        return None


class Filling:
    """Entries of one partition, in jobs of up to 50; while some are known already, all are asked about.

    Args:
        campaign: theirs.
        numbers: of its jobs.
    """

    def __init__(self, campaign: Stored, numbers: Numbers) -> None:
        self.numbers = numbers
        self.enqueued = self.duplicates = 0
        self.asking = False
        """Whether entries are asked about before a job is made of them."""
        self._campaign = campaign
        self._unsure: list[Known] = []
        self._full: list[list[Known]] = []
        self._full_bytes = 0
        self._open: list[Known] = []
        self._open_ids: set[bytes] = set()
        self._open_bytes = 0

    def put(self, known: Known) -> None:
        """Take an entry."""
        if self.asking:
            self._unsure.append(known)
        else:
            self._fill(known)

    def _fill(self, known: Known) -> None:
        if known.name in self._open_ids:
            self.duplicates += 1
            return
        if self._open_bytes + known.size > JOB_BYTES:
            self._close()
        self._open.append(known)
        self._open_ids.add(known.name)
        self._open_bytes += known.size
        if len(self._open) == contract.BULK_ENTRIES:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._full.append(self._open)
            self._full_bytes += self._open_bytes
            self._open, self._open_ids, self._open_bytes = [], set(), 0

    def is_due(self) -> bool:
        """Tell whether there is enough for a call."""
        return len(self._full) >= JOBS or len(self._unsure) >= ASKED or self._full_bytes >= CALL_BYTES

    def is_left(self) -> bool:
        """Tell whether there is anything left."""
        return bool(self._unsure or self._full or self._open)

    def jobs(self, *, last: bool) -> list[Job] | None:
        """Return what is to be called with next; None if there are too few numbers.

        Args:
            last: whether a job that isn't full is to go, too.
        """
        if self._unsure:
            asked, self._unsure = self._unsure[:ASKED], self._unsure[ASKED:]
            return [Job(0, "", "", b"", asked)]
        if last and len(self._full) < JOBS:
            self._close()
        jobs: list[Job] = []
        size = 0
        while self._full and len(jobs) < JOBS and size < CALL_BYTES:
            taken = self.numbers.take()
            if taken is None:
                return jobs or None
            entries = self._full.pop(0)
            jobs.append(self._job(*taken, entries))
            size += sum([known.size for known in entries])
        self._full_bytes = max(0, self._full_bytes - size) if self._full else 0
        return jobs

    def _job(self, number: int, job_id: str, entries: list[Known]) -> Job:
        name, terms = self._campaign.name, self._campaign.terms.hash
        queued = [known.entry for known in entries]
        data = bulkjob.encode(BulkJob(name, terms, tuple(queued)), self._campaign.options)
        recipients = [address.bare(queued[0].to), *([""] * (len(queued) - 1))]
        return Job(number, job_id, contract.description(recipients, f"campaign {name}"), data, entries)

    def told(self, jobs: Sequence[Job], words: Sequence[str]) -> None:
        """Take what enqueue.lua said of a call: entries that are known go, those beside them stay."""
        for job, word in zip(jobs, words, strict=True):
            if word in ("enqueued", "ours"):
                self.enqueued += len(job.entries)
                continue
            known = word.count("1")
            self.duplicates += known
            # As soon as all that was asked about was new, asking is over: until the next one that isn't.
            self.asking = known > 0
            for entry, bit in zip(job.entries, word, strict=True):
                if bit == "0":
                    self._fill(entry)


def known_entry(ids: EntryIds, entry: Entry) -> Known:
    """Return an entry as one that knows its id, which is one of these."""
    to, data, headers, tags, key = entry
    # As Entry.identity. No provider tells Anna@ from anna@, and a list that has both means one reader.
    digest = ids.digest(key or address.bare(to).lower())
    hexed = digest.hex()
    # By tuple itself, for a campaign has millions: the classes' own __new__ costs as much as all the rest.
    queued = tuple.__new__(QueuedEntry, (to, data, headers, tags, hexed))
    size = _SMALL
    for value in data.values():
        size += len(value) if type(value) is str else len(str(value))
    if headers is not EMPTY or tags is not EMPTY:
        size += sum(len(name) + len(value) for name, value in (*headers.items(), *tags.items()))
    return tuple.__new__(Known, (queued, hexed[:BUCKET].encode() + digest[:FIELD], size))
