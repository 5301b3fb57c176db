"""Numbers in words, the same wherever they are shown: never 1e+06, never "1 mails"."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

_DIGITS: Final = 6
_WHOLE: Final = 1e5
_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def figure(number: float) -> str:
    """Return a number in full: at most six digits that count, and no exponent."""
    if not math.isfinite(number):
        return "?"
    if abs(number) >= _WHOLE:
        return f"{number:,.0f}"
    return f"{Decimal(f'{number:.{_DIGITS}g}'):,f}"


def rate(number: float) -> str:
    """Return recipients a second, with the unit."""
    return f"{figure(number)} {'recipient' if number == 1 else 'recipients'} a second"


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit that is there twice: 90 s, 119 min, 47 h, 2 d."""
    if not math.isfinite(seconds):
        return "?"
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"


def age(seconds: float) -> str:
    """Return how long ago something was, rounded down: 59 s ago, 3 min ago, in 2 h."""
    rest = abs(int(seconds))
    for unit, length in _UNITS:
        if rest >= length:
            distance = f"{rest // length} {unit}"
            break
    else:
        distance = f"{rest} s"
    return f"in {distance}" if seconds <= -1 else f"{distance} ago"
