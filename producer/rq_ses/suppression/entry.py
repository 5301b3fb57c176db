"""An entry of the suppression list, and how it stands in Redis (suppress.lua)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, get_args

from rq_ses.keys import Keys
from rq_ses.server.stored import line

Reason = Literal["manual", "ses", "bounce", "complaint"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Why an address is on the list, the worse the later, each at the place of its number."""

TEXT_BYTES: Final = 48
"""What an entry's text may take, in UTF-8: with it a value stays within 64 bytes, and its bucket small."""

SINCE: Final = 1_577_836_800
"""The moment from which entries count their seconds (2020), so that a number of 4 bytes lasts until 2037."""

BUCKETS: Final = 32_768
WHOLE: Final = 64
"""Bytes of the longest address that stands in a bucket."""
LONG: Final = "long"
"""Name of the hash of those that are longer."""


class Suppressed(NamedTuple):
    """An address that no mail is sent to."""

    address: str
    """In its normal form (rq_ses.suppression.normal_form)."""
    reason: Reason
    at: datetime
    """Since when: aware, whole seconds."""
    text: str = ""
    """What else is known of it: 48 bytes at most."""

    def __str__(self) -> str:
        """Return it as errors name it: the address, why, and since when."""
        text = f", {self.text}" if self.text else ""
        return f"{self.address} ({self.reason}{text}, {self.at:%Y-%m-%d})"


def bucket_key(keys: Keys, address: str) -> str:
    """Return the key of the hash in which an address stands, if it does."""
    # Most have few bytes, and bytes are what counts.
    name = address.encode("utf-8", "surrogateescape")
    if len(name) > WHOLE:
        return keys.suppressed_in(LONG)
    number = int(hashlib.sha1(name, usedforsecurity=False).hexdigest()[:4], 16) % BUCKETS
    return keys.suppressed_in(f"{number:x}")


def bucket_keys(keys: Keys) -> Iterator[str]:
    """Yield the key of each hash in which addresses may stand."""
    for number in range(BUCKETS):
        yield keys.suppressed_in(f"{number:x}")
    yield keys.suppressed_in(LONG)


def read_entry(address: str, value: bytes) -> Suppressed:
    """Return an entry as its field and its value say; what is unreadable of them counts as the least."""
    number, _, text = value.partition(b" ")
    packed = int(number) if number.isdigit() and len(number) <= 12 else 0
    seconds, reason = divmod(packed, len(REASONS))
    return Suppressed(
        address, REASONS[reason], datetime.fromtimestamp(SINCE + seconds, UTC), line(text, TEXT_BYTES)
    )


def fitting(text: str) -> str:
    """Return a text as one inert line that an entry can hold: cut at 48 bytes of UTF-8."""
    whole = line(text.encode("utf-8", "replace"), TEXT_BYTES)
    return whole.encode()[:TEXT_BYTES].decode("utf-8", "ignore")
