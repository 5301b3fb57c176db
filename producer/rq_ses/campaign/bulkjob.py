"""What a bulk job holds, and what its campaign's terms do: written and read here alone, whoever does.

A bulk job's `data` is that of any job of ours (rq_ses.server.encoding); its one argument is
`{"campaign": NAME, "terms": HASH, "entries": [[to, data, headers|null, tags|null, id], …]}`. The terms, which
are the Campaign without its name, stand once in Redis under that hash (Keys.terms).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeGuard

from pydantic_core import from_json, to_json

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.entry import Entry
from rq_ses.campaign.names import checked_campaign
from rq_ses.contract import BULK_ENTRIES
from rq_ses.message.frozen import EMPTY
from rq_ses.server.encoding import encode_job, plain_job
from rq_ses.server.jobdata import inflated

_HASH: Final = re.compile(r"[0-9a-f]{32}")


class QueuedEntry(NamedTuple):
    """An entry as it stands in a bulk job."""

    to: str
    data: Mapping[str, Any]
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    id: str
    """The entry's id, by which it is found wherever it is (rq_ses.campaign.names.entry_id)."""

    @classmethod
    def of(cls, entry: Entry, entry_id: str) -> QueuedEntry:
        """Return an entry with its id."""
        return cls(entry.to, entry.data, entry.headers, entry.tags, entry_id)


class BulkJob(NamedTuple):
    """Entries of one campaign that are sent together."""

    campaign: str
    terms: str
    """The hash under which the terms are stored."""
    entries: tuple[QueuedEntry, ...]

    def part(self, entries: Sequence[QueuedEntry]) -> BulkJob:
        """Return a job with some of the entries."""
        return self._replace(entries=tuple(entries))


def payload(job: BulkJob) -> bytes:
    """Return a bulk job's one argument as JSON."""
    entries = [
        (
            entry.to,
            entry.data or {},
            dict(entry.headers) if entry.headers else None,
            dict(entry.tags) if entry.tags else None,
            entry.id,
        )
        for entry in job.entries
    ]
    return to_json({"campaign": job.campaign, "terms": job.terms, "entries": entries})


def encode(job: BulkJob, options: Mapping[str, Any]) -> bytes:
    """Return RQ's `data` of a bulk job.

    Args:
        job: what it sends.
        options: those of the job function, `options_of` its campaign.
    """
    return encode_job(payload(job), options)


def encode_plain(job: BulkJob, options: Mapping[str, Any]) -> bytes:
    """Return the same, not deflated: RQ and we read both."""
    return plain_job(payload(job), options)


def options_of(campaign: Campaign) -> dict[str, Any]:
    """Return the options that the job function is given for each of a campaign's jobs."""
    options: dict[str, Any] = {}
    if campaign.expires is not None:
        options["expires"] = round(campaign.expires.timestamp(), 6)
    if campaign.on_unknown is not None:
        options["on_unknown"] = campaign.on_unknown
    return options


def is_bulk(argument: Mapping[str, Any]) -> bool:
    """Tell whether a job's argument is a bulk job's, and not a message."""
    return "entries" in argument and "campaign" in argument


def read(argument: Mapping[str, Any]) -> BulkJob:
    """Return the bulk job whose argument json.loads has read, each entry judged as when it was made.

    Raises:
        ValueError: it is no bulk job, or holds an entry that can't be sent (pydantic.ValidationError).
    """
    unknown = argument.keys() - {"campaign", "terms", "entries"}
    entries, terms = argument.get("entries"), argument.get("terms")
    if unknown or not isinstance(entries, list) or not 0 < len(entries) <= BULK_ENTRIES:
        raise ValueError(
            f"is no bulk job: it has campaign, terms and 1 to {BULK_ENTRIES} entries, and nothing else"
        )
    if not is_hash(terms):
        raise ValueError("terms: is no hash of 32 hex digits")
    return BulkJob(checked_campaign(argument["campaign"]), terms, tuple(map(_queued, entries)))


def _queued(fields: Any) -> QueuedEntry:
    if not isinstance(fields, list) or len(fields) != 5:
        raise ValueError("entries: one is no list of to, data, headers, tags and id")
    to, data, headers, tags, entry_id = fields
    if not is_hash(entry_id):
        raise ValueError("entries: the id of one is none")
    return QueuedEntry.of(Entry(to, data, headers or EMPTY, tags or EMPTY), entry_id)


def is_hash(value: Any) -> TypeGuard[str]:
    """Tell whether a value can be the hash of terms, or the id of an entry."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


class StoredTerms(NamedTuple):
    """A campaign's terms as they stand in Redis."""

    hash: str
    data: bytes


def encode_terms(campaign: Campaign) -> StoredTerms:
    """Return what all campaigns that say the same share: its hash, and what is stored under it."""
    terms = campaign.__pydantic_serializer__.to_json(campaign, exclude={"name"}, exclude_defaults=True)
    return StoredTerms(_hash(terms), zlib.compress(terms, 9))


def read_terms(name: str, terms_hash: str, data: bytes) -> Campaign:
    """Return the campaign of that name that has these terms.

    Raises:
        ValueError: they aren't those of the hash, or (pydantic.ValidationError) none that this build knows.
    """
    terms = inflated(data)
    if _hash(terms) != terms_hash:
        raise ValueError(f"terms: what is stored as {terms_hash} has another hash")
    return Campaign.from_payload({**from_json(terms), "name": name})


def _hash(terms: bytes) -> str:
    return blake2b(terms, digest_size=16, person=b"rq-ses-terms").hexdigest()
