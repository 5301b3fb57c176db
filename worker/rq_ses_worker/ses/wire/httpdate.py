"""The date form of HTTP headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_LONGEST: Final = 64
_YEARS: Final = range(1970, 2200)


def parse_http_date(value: str) -> datetime | None:
    """Return the instant of an HTTP date (RFC 9110, section 5.6.7) in UTC, None if it is no sane date."""
    if len(value) > _LONGEST:
        return None
    try:
        parsed = parsedate_to_datetime(value)
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.year in _YEARS else None
