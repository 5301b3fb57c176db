"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds for what takes a moment on a machine that has nothing else to do: tests run on busy ones."""


def wait_for(
    condition: Callable[[], T], *, within: float = PATIENCE, what: str = "", every: float | None = None
) -> T:
    """Return the condition's first truthy value, or fail after `within` seconds.

    It is asked `every` so many seconds; unless that is given, less and less often: what is waited for long
    is work that needs the machine.
    """
    begun = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        passed = time.monotonic() - begun
        if passed > within:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(min(0.005 + passed / 50, 0.05) if every is None else every)
