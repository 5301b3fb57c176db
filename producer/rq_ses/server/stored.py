"""Values read from Redis, each checked: any client may have written them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError, ResponseError

from rq_ses.text.plaintext import one_line

_LARGEST_COUNT = 2**31
_LATEST = 1e11
"""Epoch seconds: in the year 5138; what is later is a mistake, or meant to break a reader."""


def answered(answer: Any) -> Any:
    """Return what a pipeline has as an answer; None for a key of another type, as anybody may make one.

    Raises redis.exceptions.RedisError: any other error must never count as "there is none".
    """
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    if isinstance(answer, RedisError):
        raise answer
    return answer


def line(value: object, limit: int) -> str:
    """Return a text as one inert line of `limit` characters at most; "" for what is none."""
    return one_line(value[: 4 * limit].decode("utf-8", "replace"), limit) if isinstance(value, bytes) else ""


def count(value: object) -> int:
    """Return a number of things; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value < _LARGEST_COUNT else 0


def moment(value: object) -> datetime | None:
    """Return epoch seconds as an aware datetime; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)


def date(raw: bytes | None) -> datetime | None:
    """Return a moment in RQ's date form as an aware datetime; None for what is none."""
    try:
        found = datetime.fromisoformat((raw or b"").decode("ascii"))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
