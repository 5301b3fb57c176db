"""How a campaign stands: its entries by what became of them, and when it will be through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

State = Literal["sending", "sent", "paused", "canceled"]

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """How a campaign stands; all numbers are of entries.

    Attributes:
        name: the campaign's.
        state: "sending", "paused" or "canceled"; "sent" when nothing of it waits, and all were enqueued.
        complete: whether its producer came to the end of its entries.
        enqueued: how many were enqueued.
        sent: how many SES has accepted.
        failed: how many failed for good, and wait for somebody's decision (`rq-ses failed`).
        unknown: how many failed of which SES may have accepted the mail.
        canceled: how many were called back.
        discarded: how many of those that failed were deleted.
        created_at: when the first call began.
        changed_at: when it last changed.
        rate: recipients a second that the account may send now; None is unknown, or any number.
        seconds_left: until the rest is sent at that rate and within the day's quota, if the account sends
            nothing else; None is unknown.
    """

    name: str
    state: State
    complete: bool
    enqueued: int
    sent: int
    failed: int
    unknown: int
    canceled: int
    discarded: int
    created_at: datetime
    changed_at: datetime
    rate: float | None = None
    seconds_left: float | None = None

    @property
    def waiting(self) -> int:
        """How many are to be sent yet."""
        done = self.sent + self.failed + self.unknown + self.canceled + self.discarded
        return max(0, self.enqueued - done)


@dataclass(slots=True)
class Counts:
    """What one partition, or all together, have of a campaign."""

    state: str = ""
    complete: bool = True
    enqueued: int = 0
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    canceled: int = 0
    discarded: int = 0
    created_at: float = math.inf
    changed_at: float = 0.0

    @classmethod
    def read(cls, record: Mapping[bytes, bytes]) -> Self | None:
        """Return what a record says; None if it is none."""
        text = {
            name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
            for name, value in record.items()
        }
        if "state" not in text:
            return None
        numbers = {name: _number(text.get(name)) for name in ("enqueued", "sent", "canceled", "discarded")}
        return cls(
            text["state"],
            text.get("complete") == "1",
            **numbers,
            created_at=float(_number(text.get("created_at"))),
            changed_at=float(_number(text.get("changed_at"))),
        )

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """Return the sums over all partitions."""
        whole = cls()
        states = set()
        for part in parts:
            states.add(part.state)
            whole.complete &= part.complete
            for name in ("enqueued", "sent", "failed", "unknown", "canceled", "discarded"):
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
            whole.created_at = min(whole.created_at, part.created_at)
            whole.changed_at = max(whole.changed_at, part.changed_at)
        # One that was broken off between two partitions is held, or called back, in some.
        whole.state = next((one for one in ("canceled", "paused") if one in states), "sending")
        return whole

    def status(self, name: str) -> CampaignStatus:
        """Return them as a status."""
        found = CampaignStatus(
            name,
            self.state,  # type: ignore[arg-type]
            self.complete,
            *(self.enqueued, self.sent, self.failed, self.unknown, self.canceled, self.discarded),
            datetime.fromtimestamp(min(self.created_at, 4e9), UTC),
            datetime.fromtimestamp(min(self.changed_at, 4e9), UTC),
        )
        if self.state == "sending" and self.complete and not found.waiting:
            return replace(found, state="sent")
        return found


def seconds_left(
    waiting: int, rate: float | None, quota: float | None, quota_left: float | None
) -> float | None:
    """Return the seconds until so many recipients are sent, at best; None if no bound is known.

    Args:
        waiting: how many recipients.
        rate: how many a second.
        quota: how many in 24 hours.
        quota_left: how many of these are left.
    """
    if not waiting:
        return 0.0
    by_rate = waiting / rate if rate else None
    beyond = waiting - (quota_left or 0.0) if quota else 0.0
    by_quota = _DAY * math.ceil(beyond / quota) if quota and beyond > 0 else 0.0
    return max(by_rate or 0.0, by_quota) if by_rate or by_quota else None


def _number(text: Any) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0
