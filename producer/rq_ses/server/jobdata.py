"""RQ's `data` of a job: plain or deflated, and never more than a bound, whoever wrote it."""

from __future__ import annotations

import zlib
from typing import Final

DATA_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of data, inflated or not: the largest mail (40 MB of base64) and room around it."""

_CALL: Final = b"["
"""What a call as JSON begins with, and nothing that is deflated (RFC 1950, 2.2: CM is 8)."""


def inflated(data: bytes) -> bytes:
    """Return the whole of it, plain. Raises ValueError if it is cut off, or larger than any mail."""
    if data[:1] == _CALL:
        return data
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, DATA_LIMIT)
    except zlib.error:
        return data
    if not inflater.eof:
        raise ValueError("cut off, or larger than any mail")
    return plain


def inflated_head(data: bytes, most: int) -> bytes:
    """Return its first bytes, `most` at most, plain."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return data[:most]
