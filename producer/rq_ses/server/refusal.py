"""What an error of Redis says: that it passes, that a right is withheld, or what is to be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from redis import exceptions as redis_errors

from rq_ses.keys import Keys
from rq_ses.server.slot import is_tagged, tag_remedy
from rq_ses.text.plaintext import one_line

_PASSING: Final = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.AskError,
    redis_errors.ClusterDownError,
    redis_errors.TryAgainError,
    # The server has forgotten a script in the moment in which it was told it.
    redis_errors.NoScriptError,
)
_PASSING_WORDS: Final = re.compile(
    r"\b(?:ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MOVED|NOREPLICAS|READONLY|TRYAGAIN)\b"
    r"|max number of clients|access a non local key"
)
"""Codes of errors that redis-py has no class for, or that a script of an old server wraps in its own."""

_NO_MASTER: Final = "MasterNotFoundError"
"""redis-py has a class of this name for threads, and another one for asyncio."""

_ONE_NODE: Final = (
    "this node of the cluster isn't the owner of the keys (any more): give RQ_SES_REDIS_URL "
    "redis+cluster://host:port,host:port, which follows it (docs/how-to/cluster.md)"
)

ELSEWHERE: Final = r"\b(?:MOVED|ASK)\b|MovedError|AskError|access a non local key"
_SCATTERED: Final = r"\bCROSSSLOT\b|CrossSlot|hash to the same slot"

_REMEDIES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (
            r"cluster support disabled",
            "the server isn't one of a cluster: write redis:// in RQ_SES_REDIS_URL, with a single host",
        ),
        (
            r"NOAUTH|WRONGPASS|AuthenticationError|AuthorizationError|invalid password|without any password",
            "check user and password in RQ_SES_REDIS_URL (special characters percent-encoded)",
        ),
        (
            r"run the '(?P<command>[^']+)' command",
            "Redis's ACL withholds a right: ACL SETUSER ... +COMMAND (docs/how-to/production-redis.md)",
        ),
        (
            r"permissions? to access a channel",
            "Redis's ACL withholds a right: ACL SETUSER ... &PREFIX* (docs/how-to/production-redis.md)",
        ),
        (
            r"permissions? to access a key|NOPERM|NoPermission|ACL failure|executing the script can't",
            "Redis's ACL withholds a right: ACL SETUSER ... ~PREFIX* (docs/how-to/production-redis.md)",
        ),
        (
            r"DB index|invalid DB|in cluster mode",
            "RQ_SES_REDIS_URL ends in the number of a database this server doesn't have: "
            "write /0, or raise its `databases` (in a cluster, since Valkey 9: `cluster-databases`)",
        ),
        (
            r"maxmemory|\bOOM\b|OutOfMemory",
            "Redis is full: raise its maxmemory, or let workers drain it (docs/redis.md)",
        ),
        (
            r"WRONGTYPE",
            "a key under PREFIX is of another program's making: "
            "give rq-ses a database or a server of its own",
        ),
        (r"MISCONF", "Redis can't write to its disk: see its log, and free space or mend the rights there"),
        (
            r"unknown command",
            "the server lacks or bars a command that is needed (EVALSHA, SCRIPT LOAD): use Redis or Valkey",
        ),
        (r"protected mode", "set a password and bind addresses on the server, and put them into the URL"),
        (
            r"CERTIFICATE_VERIFY_FAILED",
            "the server's certificate isn't trusted: append ?ssl_ca_certs=FILE to RQ_SES_REDIS_URL",
        ),
        (r"WRONG_VERSION_NUMBER", "the server speaks no TLS there: write redis:// in RQ_SES_REDIS_URL"),
    )
)
ELSE: Final = "check RQ_SES_REDIS_URL and the server"
"""What is to be done about an error that has no remedy of its own."""

_DENIALS: Final = ("NOPERM", "ACL failure in script", "The user executing the script can't")
"""Redis 7 and Valkey let a script's refusal begin with ERR, Redis 6.2 gives it words of its own."""


def is_denied(exc: BaseException) -> bool:
    """Tell whether the server refuses a command, a key or a channel to this user, in a script or by itself.

    Such a refusal lasts until somebody grants the right; trying again is of no use.
    """
    if isinstance(exc, redis_errors.NoPermissionError):
        return True
    return isinstance(exc, redis_errors.ResponseError) and any(mark in str(exc) for mark in _DENIALS)


def is_shut_out(exc: BaseException | None) -> bool:
    """Tell whether the server doesn't let this user in, or do what it asks."""
    refused = isinstance(exc, redis_errors.AuthenticationError | redis_errors.AuthorizationError)
    return refused or (exc is not None and is_denied(exc))


def is_passing(exc: BaseException) -> bool:
    """Tell whether the server, or the way to it, is in a state that ends by itself."""
    # The system's OSError: no descriptor is left for a connection, say.
    return isinstance(exc, (*_PASSING, OSError)) or _PASSING_WORDS.search(_words(exc)) is not None


def _words(exc: BaseException) -> str:
    code = getattr(exc, "status_code", None) or ""  # redis-py 7 and later cut it off the text
    return f"{type(exc).__name__} {code} {exc}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of Redis: whether trying again may help, its words, and otherwise its remedy."""

    passes: bool
    reason: str
    remedy: str = ""


def read_refusal(exc: redis_errors.RedisError | OSError) -> Refusal:
    """Return what an error of Redis, or of the system on the way to it, means for what was to be written."""
    reason = one_line(f"{type(exc).__name__}: {exc}", 200)
    words = _words(exc)
    # A refusal of access is a ConnectionError to redis-py; it doesn't pass.
    # What Sentinels said is several servers' words: one that refuses says nothing of the others.
    if is_scattered(exc):
        return Refusal(False, reason, f"this is a cluster: {tag_remedy()}")
    for pattern, remedy in () if type(exc).__name__ == _NO_MASTER else _REMEDIES:
        if found := pattern.search(words):
            command = found.groupdict().get("command", "")
            # Not the end of RQ_KEY_PREFIX.
            remedy = re.sub(r"\bPREFIX\b", Keys.default().root, remedy).replace("COMMAND", command)
            return Refusal(False, reason, remedy)
    if not is_passing(exc):
        return Refusal(False, reason, ELSE)
    return Refusal(True, reason, _ONE_NODE if re.search(ELSEWHERE, words) else "")


def is_scattered(exc: BaseException) -> bool:
    """Tell whether a cluster refuses, for our keys lie in several slots of it: that lasts."""
    # With a hash tag a slot is moving, or has another owner now, which passes.
    pattern = _SCATTERED if is_tagged(Keys.default().prefix) else f"{_SCATTERED}|{ELSEWHERE}"
    return isinstance(exc, redis_errors.ResponseError) and re.search(pattern, _words(exc)) is not None


def in_words(exc: redis_errors.RedisError) -> str:
    """Return for a command's user what an error of Redis says, and what is to be done about it."""
    refusal = read_refusal(exc)
    said = "did not answer" if refusal.passes else "refused"
    # Which partition it was (rq_ses.server.partitions.naming).
    where = "".join(f"{note}: " for note in getattr(exc, "__notes__", ()))
    return f"{where}Redis {said} ({refusal.reason}): {refusal.remedy or ELSE}"
