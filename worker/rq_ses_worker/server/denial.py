"""What a worker says when Redis refuses it a command: that lasts until somebody grants it."""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import RedisError

from rq_ses.server.refusal import is_denied, is_scattered
from rq_ses.server.slot import tag_remedy
from rq_ses.text.plaintext import one_line

_COMMAND: Final = re.compile(r"User (\S+) has no permissions to run the '([^']+)' command")


class Denied(Exception):
    """Raised when Redis refuses a command, a key or a channel to this user; its text says which."""


class Scattered(Denied):
    """Raised when a cluster refuses since our keys lie in several slots; its text says what to set."""


def denial(exc: BaseException) -> Denied | None:
    """Return what there is to say if `exc` is such a refusal, or a cluster's of keys in several slots."""
    if is_scattered(exc):
        return Scattered(f"this is a cluster ({one_line(str(exc), 100)}): {tag_remedy()}")
    return Denied(_in_words(str(exc))) if is_denied(exc) else None


def raise_if_denied(exc: RedisError) -> None:
    """Raise Denied if there is something to say of `exc`."""
    if denied := denial(exc):
        raise denied from exc


def _in_words(text: str) -> str:
    found = _COMMAND.search(text)
    if not found:
        return f"Redis refuses this user what the worker needs: {one_line(text, 300)}"
    user, command = one_line(found[1], 80), one_line(found[2], 40)
    grant = f"ACL SETUSER {user} +{command.lower()}"
    return f"Redis refuses the command {command.upper()} to the user {user}: {grant}"
