"""The names of campaigns, and the ids that their entries and bulk jobs have."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from rq_ses.text.invalid import shown

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")

BUCKET: Final = 1
"""Hex digits of an entry's id that tell which hash of the index it stands in.

So few that a call asks each hash once for all its entries, which are two thousand."""

FIELD: Final = 12
"""Bytes of an entry's id that are its field there."""


def checked_campaign(name: str) -> str:
    """Return `name`, which can be a campaign's. Raises ValueError for any other."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not the name of a campaign: use 1-100 ASCII letters, digits and _ . -"
        )
    return name


class EntryIds:
    """The ids of a campaign's entries.

    Args:
        campaign: its name.
    """

    def __init__(self, campaign: str) -> None:
        self._begun = blake2b(f"{campaign}\0".encode(), digest_size=16, person=b"rq-ses-entry")

    def digest(self, key: str) -> bytes:
        """Return the id of the entry that `key` stands for as 16 bytes."""
        whole = self._begun.copy()
        whole.update(key.encode())
        return whole.digest()


def entry_id(campaign: str, key: str) -> str:
    """Return the id of the entry that `key` stands for in a campaign: of the same key always the same."""
    return EntryIds(campaign).digest(key).hex()


def bulk_job_id(campaign: str, number: int) -> str:
    """Return the id of a campaign's bulk job of that number."""
    return blake2b(f"{campaign}\0{number}".encode(), digest_size=16, person=b"rq-ses-bulk").hexdigest()


def indexed(entry: str) -> tuple[str, bytes]:
    """Return where the index has an entry's id: which of its hashes, and the field."""
    return entry[:BUCKET], bytes.fromhex(entry)[:FIELD]
