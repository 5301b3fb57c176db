"""Tells Redis's refusals of a command to this user (ACL) from its other errors."""

from __future__ import annotations

from typing import Final

from redis.exceptions import NoPermissionError, ResponseError

_MARKS: Final = ("NOPERM", "ACL failure in script", "The user executing the script can't")
"""Redis 7 and Valkey let a script's refusal begin with ERR, Redis 6.2 gives it words of its own."""


def is_denied(exc: BaseException) -> bool:
    """Tell whether the server refuses a command, a key or a channel to this user, in a script or by itself.

    Such a refusal lasts until somebody grants the right; trying again is of no use.
    """
    if isinstance(exc, NoPermissionError):
        return True
    return isinstance(exc, ResponseError) and any(mark in str(exc) for mark in _MARKS)
