"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds for what takes a moment on a machine that has nothing else to do: tests run on busy ones."""


def wait_for(
    condition: Callable[[], T], *, within: float = PATIENCE, what: str = "", every: float = 0.005
) -> T:
    """Return the condition's first truthy value, or fail after `within` seconds."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(every)
