"""One message with its terms: under which key, when, until when, and what to do in doubt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rq_ses.contract import ON_UNKNOWN, PRIORITIES, YEARS, OnUnknown, Priority
from rq_ses.message import Message

__all__ = ["KEY_LIMIT", "OnUnknown", "Priority", "Seconds", "Submission", "checked_key", "is_unicode"]

KEY_LIMIT: Final = 512
"""Characters."""

Seconds = float | timedelta


@dataclass(frozen=True, slots=True)
class Submission:
    """One message with the terms of its own that Outbox.send takes.

    Attributes:
        message (Message): what to send.
        key (str | None): idempotency key; the same key and message are enqueued once.
        at (datetime | None): aware datetime before which it is not sent; or
        delay (float | timedelta | None): seconds from now for which it is not sent.
        expires (datetime | float | timedelta | None): after that it is failed rather than sent.
        on_unknown (str | None): "resend" or "hold", if SES may have accepted it; else what the worker's says.
        priority (str): "high", "normal" or "bulk".
    """

    message: Message
    key: str | None = None
    at: datetime | None = None
    delay: Seconds | None = None
    expires: datetime | Seconds | None = None
    on_unknown: OnUnknown | None = None
    priority: Priority = "normal"

    def due(self) -> str:
        """Return when it is due, as enqueue.lua takes it. Raises ValueError if that can't be used."""
        if self.at is not None and self.delay is not None:
            raise ValueError("at and delay: both were given: give one of them")
        if self.at is not None:
            return f"{_epoch('at', self.at):.6f}"
        return "" if self.delay is None else f"+{_seconds('delay', self.delay):.6f}"

    def place(self) -> int:
        """Return the place of its queue among those of all priorities. Raises ValueError for another word."""
        if self.priority not in PRIORITIES:
            raise ValueError(
                f"priority: {self.priority!r:.80} can't be used: give one of {', '.join(PRIORITIES)}"
            )
        return PRIORITIES.index(self.priority)

    def options(self) -> dict[str, Any]:
        """Return the job function's options. Raises ValueError if one can't be used."""
        options: dict[str, Any] = {}
        if self.expires is not None:
            options["expires"] = _expiry(self.expires)
        if self.on_unknown is not None:
            if self.on_unknown not in ON_UNKNOWN:
                raise ValueError(f"on_unknown: {self.on_unknown!r:.80} can't be used: give resend or hold")
            options["on_unknown"] = self.on_unknown
        return options


def checked_key(key: str) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= KEY_LIMIT or not is_unicode(key):
        raise ValueError(f"key: {key!r:.80} can't be used: give a text of 1 to {KEY_LIMIT} characters")
    return key


def is_unicode(text: str) -> bool:
    """Tell whether `text` can be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _expiry(expires: datetime | Seconds) -> float:
    if isinstance(expires, datetime):
        moment = _epoch("expires", expires)
        if moment <= time.time():
            raise ValueError(f"expires: {expires.isoformat()} is past: give a moment to come")
        return moment
    return round(time.time() + _seconds("expires", expires), 6)


def _epoch(name: str, moment: datetime) -> float:
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: {moment!r:.80} is no datetime: give an aware datetime")
    if moment.tzinfo is None:
        raise ValueError(f"{name}: {moment.isoformat()} has no time zone: give an aware datetime")
    return moment.timestamp()


def _seconds(name: str, length: Seconds) -> float:
    if isinstance(length, timedelta):
        length = length.total_seconds()
    if isinstance(length, bool) or not isinstance(length, int | float):
        raise TypeError(f"{name}: {length!r:.80} is no number of seconds: give a number or a timedelta")
    if not 0 <= length <= YEARS:
        raise ValueError(f"{name}: {length!r:.80} is out of range: give 0 to {YEARS} seconds")
    return float(length)
