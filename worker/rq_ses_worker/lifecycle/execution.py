"""The ids of executions: RQ's word for one worker's turn at a job; claim.lua makes the same ones."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"[0-9a-f]{24}[01]")
"""What a worker's prefix (16 digits), a number and the fresh digit come to; RQ's own ids are uuids."""


def execution_id(prefix: str, number: int, *, fresh: bool) -> str:
    """Return an id: the process's prefix, the claim's number among its claims, 1 if the job is fresh."""
    return f"{prefix}{number:08x}{fresh:d}"


def is_fresh(execution: str) -> bool:
    """Tell whether nobody had tried the job, since it was enqueued or requeued, when it was claimed."""
    return execution.endswith("1")


def is_ours(execution: str) -> bool:
    """Tell whether one of our workers has given this id, and none of RQ's own."""
    return _FORM.fullmatch(execution) is not None
