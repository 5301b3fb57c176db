"""One message with its terms: under which key, when, until when, and what to do in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rq_ses.contract import ON_UNKNOWN, PRIORITIES, YEARS, OnUnknown, Priority
from rq_ses.message.reading import AnyMessage
from rq_ses.text.keytext import KEY_LIMIT, checked_key, is_unicode
from rq_ses.text.localtime import checked_moment

__all__ = ["KEY_LIMIT", "OnUnknown", "Priority", "Seconds", "Submission", "checked_key", "is_unicode"]

Seconds = float | timedelta

_FIRST: Final = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()
"""Moments that can be shown: in other zones a datetime may be a day before, or after."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One message with the terms of its own that Outbox.send takes.

    Attributes:
        message (Message | RawMessage): what to send.
        key (str | None): idempotency key; the same key and message are enqueued once.
        at (datetime | None): aware datetime before which it is not sent; or
        delay (float | timedelta | None): seconds (or a timedelta) from now for which it is not sent.
        expires (datetime | float | timedelta | None): aware datetime, or seconds from now, after which it is
            failed rather than sent.
        on_unknown (str | None): what becomes of it when SES may have accepted it: "resend" or "hold"; by
            default what the worker's settings say.
        priority (str): "high" is claimed before "normal", that before "bulk"; see docs/rate.md.
    """

    message: AnyMessage
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

    def options(self, now: Callable[[], float]) -> dict[str, Any]:
        """Return the job function's options. Raises ValueError if one can't be used.

        `now` tells the server's time (epoch seconds); it is asked only where there is an expiry.
        """
        options: dict[str, Any] = {}
        if self.expires is not None:
            options["expires"] = self._expiry(self.expires, now)
        if self.on_unknown is not None:
            if self.on_unknown not in ON_UNKNOWN:
                raise ValueError(f"on_unknown: {self.on_unknown!r:.80} can't be used: give resend or hold")
            options["on_unknown"] = self.on_unknown
        return options

    def asks_time(self) -> bool:
        """Tell whether its options depend on the time. Raises ValueError for an expiry that can't be used."""
        if self.expires is None:
            return False
        _moment_or_length(self.expires)
        return True

    def _expiry(self, expires: datetime | Seconds, now: Callable[[], float]) -> float:
        """Return when it expires (epoch seconds), which is after it is due."""
        absolute = isinstance(expires, datetime)
        length = _moment_or_length(expires)
        delay = None if self.delay is None else _seconds("delay", self.delay)
        server = now()
        moment = length if absolute else server + length
        if moment <= server:
            if not absolute:
                raise ValueError(f"expires: {expires!r} seconds leave no time to send it: give more")
            raise ValueError(
                f"expires: {_shown(moment)} is past: it is {_shown(server)} by the server's clock: "
                "give a moment to come"
            )
        name, due = ("at", _epoch("at", self.at)) if self.at is not None else ("delay", server + (delay or 0))
        if due >= moment:
            raise ValueError(
                f"expires: {_shown(moment)} is not after {_shown(due)}, when it is due ({name}): "
                "let it expire later, or be due earlier"
            )
        return round(moment, 6)


def _epoch(name: str, moment: datetime) -> float:
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: {moment!r:.80} is no datetime: give an aware datetime")
    if moment.utcoffset() is None:
        raise ValueError(f"{name}: {moment.isoformat()} has no time zone: give an aware datetime")
    try:
        return checked_moment(name, moment).timestamp()
    except OverflowError:
        raise ValueError(f"{name}: {moment.isoformat()} is beyond all calendars: give another year") from None


def _seconds(name: str, length: Seconds) -> float:
    if isinstance(length, timedelta):
        length = length.total_seconds()
    if isinstance(length, bool) or not isinstance(length, int | float):
        raise TypeError(f"{name}: {length!r:.80} is no number of seconds: give a number or a timedelta")
    if not 0 <= length <= YEARS:
        raise ValueError(f"{name}: {length!r:.80} is out of range: give 0 to {YEARS} seconds")
    return float(length)


def _moment_or_length(expires: datetime | Seconds) -> float:
    return _epoch("expires", expires) if isinstance(expires, datetime) else _seconds("expires", expires)


def _shown(epoch: float) -> str:
    moment = min(max(epoch, _FIRST), _LAST)
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
