"""Local times that don't exist, or exist twice: twice a year, where clocks are put on and back."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

FORM: Final = "2026-05-31T09:00:00+02:00"
"""How a moment is written so that it is one."""


def read_moment(text: str) -> datetime:
    """Read an ISO 8601 date and time; one without an offset is this host's local time.

    Raises:
        ValueError: it is none; or as a local time it doesn't exist, or exists twice.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
        readings = [moment.replace(fold=fold).astimezone() for fold in (0, 1)]
    except (ValueError, TypeError, OverflowError, OSError):  # the last ones: years beyond the host's clock
        raise ValueError(f"{text!r:.80} is no date and time: write {FORM}") from None
    if readings[0].utcoffset() == readings[1].utcoffset():
        return readings[0]
    raise ValueError(_doubtful(moment, readings))


def checked_moment(name: str, moment: datetime) -> datetime:
    """Return an aware datetime, which exists in its zone; of two such moments `fold` names one (PEP 495).

    Raises:
        ValueError: clocks are put on over it; both readings are named with their offsets.
    """
    zone = moment.tzinfo
    try:
        if zone is None or _same(moment, moment.astimezone(UTC).astimezone(zone)):
            return moment
    except OverflowError:  # within a day of the first year, or of the last
        return moment
    readings = [_read(moment, fold, zone) for fold in (0, 1)]
    raise ValueError(f"{name}: {_doubtful(moment.replace(tzinfo=None), readings)}")


def _read(moment: datetime, fold: int, zone: tzinfo) -> datetime:
    return moment.replace(fold=fold).astimezone(UTC).astimezone(zone)


def _same(one: datetime, other: datetime) -> bool:
    return one.replace(tzinfo=None, fold=0) == other.replace(tzinfo=None, fold=0)


def _doubtful(naive: datetime, readings: list[datetime]) -> str:
    first, second = sorted(readings)
    exists = "exists twice" if _same(naive, readings[0]) else "doesn't exist"
    return (
        f"{naive.isoformat()} {exists} in this time zone (clocks change): "
        f"write {first.isoformat()} or {second.isoformat()}"
    )
