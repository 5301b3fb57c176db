"""What a worker's user must be allowed to do in Redis, and what of it this one is not.

The commands are read from the scripts themselves. The server is asked all at once, by a script of its own
(redis.acl_check_cmd), which needs no further right, as ACL DRYRUN would.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import contract, states
from rq_ses.keys import Keys, keys_of
from rq_ses.server.refusal import is_denied
from rq_ses_worker.account import gate
from rq_ses_worker.audit import sweep
from rq_ses_worker.lifecycle import transitions
from rq_ses_worker.server.scripts import lua

_CALL: Final = re.compile(r"\b(?:redis\.p?call|typed)\('([A-Z]+)'")

_BESIDE: Final = frozenset(
    {"EXEC", "EXPIRE", "HEXISTS", "HGETALL", "HSET", "MULTI", "SADD", "SET", "SREM", "SUBSCRIBE", "TIME"}
)
"""Called without a script: by RQ to register a worker, and by ours."""

_KEY: Final = "KEY"
"""Stands for any key, as does _CHANNEL for a channel."""
_CHANNEL: Final = "CHANNEL"
COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "COPY": (_KEY, _KEY),
    "DECR": (_KEY,),
    "DEL": (_KEY,),
    "EVALSHA": ("0" * 40, "1", _KEY),
    "EXEC": (),
    "EXISTS": (_KEY,),
    "EXPIRE": (_KEY, "1"),
    "EXPIREAT": (_KEY, "1"),
    "GET": (_KEY,),
    "HDEL": (_KEY, "f"),
    "HEXISTS": (_KEY, "f"),
    "HGET": (_KEY, "f"),
    "HGETALL": (_KEY,),
    "HINCRBY": (_KEY, "f", "1"),
    "HINCRBYFLOAT": (_KEY, "f", "1"),
    "HLEN": (_KEY,),
    "HMGET": (_KEY, "f"),
    "HSET": (_KEY, "f", "v"),
    "HSETNX": (_KEY, "f", "v"),
    "HSTRLEN": (_KEY, "f"),
    "INCR": (_KEY,),
    "INFO": (),
    "LINDEX": (_KEY, "0"),
    "LLEN": (_KEY,),
    "LPOS": (_KEY, "v"),
    "LPUSH": (_KEY, "v"),
    "LRANGE": (_KEY, "0", "1"),
    "LREM": (_KEY, "1", "v"),
    "LTRIM": (_KEY, "0", "1"),
    "MULTI": (),
    "PERSIST": (_KEY,),
    "PEXPIRE": (_KEY, "1"),
    "PING": (),
    "PTTL": (_KEY,),
    "PUBLISH": (_CHANNEL, "v"),
    "RENAME": (_KEY, _KEY),
    "RPUSH": (_KEY, "v"),
    "SADD": (_KEY, "v"),
    "SCAN": ("0",),
    "SCRIPT LOAD": ("return 1",),
    "SET": (_KEY, "v"),
    "SETRANGE": (_KEY, "0", ""),
    "SMEMBERS": (_KEY,),
    "SREM": (_KEY, "v"),
    "SUBSCRIBE": (_CHANNEL,),
    "TIME": (),
    "TTL": (_KEY,),
    "TYPE": (_KEY,),
    "XADD": (_KEY, "*", "f", "v"),
    "XREVRANGE": (_KEY, "+", "-"),
    "ZADD": (_KEY, "1", "v"),
    "ZCARD": (_KEY,),
    "ZMSCORE": (_KEY, "v"),
    "ZRANGE": (_KEY, "0", "1"),
    "ZRANGEBYSCORE": (_KEY, "0", "1"),
    "ZREM": (_KEY, "v"),
    "ZREMRANGEBYSCORE": (_KEY, "0", "1"),
    "ZSCORE": (_KEY, "v"),
}
"""What producers, workers, their scripts and RQ call, each with arguments for a dry run."""

_REGISTRIES: Final = (states.WIP, states.SCHEDULED, states.DEFERRED, *states.SETTLED)
_OTHERS: Final = ("job", "execution", "executions", "results", "queue", "worker", "workers", "ses")
"""First parts of all keys' names, behind RQ's prefix."""

_WRITES: Final = ("DEL", "HSET", "RPUSH", "ZADD")
_VERBS: Final = (*_WRITES, "HGET")


@dataclass(frozen=True, slots=True)
class Missing:
    """What a user is not allowed."""

    commands: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Patterns that it may not read and write."""
    channels: tuple[str, ...] = ()
    root: str = field(default_factory=lambda: Keys.default().root)
    """What all keys begin with."""

    def __str__(self) -> str:
        """Say what, and the words for ACL SETUSER; "" if nothing is missing."""
        if not self.lacks:
            return ""
        grants = [f"+{command.lower().replace(' ', '|')}" for command in self.commands]
        grants += [f"~{self.root}*"] * bool(self.keys) + [f"&{self.root}*"] * bool(self.channels)
        return f"this user may not {self.lacks}; set: ACL SETUSER … {' '.join(grants)}"

    @property
    def lacks(self) -> str:
        """What the user may not do; "" if nothing is missing."""
        parts = (
            ("call ", ", ", self.commands),
            ("use keys ", " ", self.keys),
            ("use channels ", " ", self.channels),
        )
        return ", nor ".join(f"{verb}{between.join(names)}" for verb, between, names in parts if names)


def commands_under(keys: Keys) -> dict[str, tuple[str, ...]]:
    """Return COMMANDS with keys and channels of this prefix in their arguments."""
    meant = {_KEY: keys.scratch, _CHANNEL: keys.wake(contract.DEFAULT_QUEUE)}
    return {name: tuple(meant.get(part, part) for part in args) for name, args in COMMANDS.items()}


def needed_commands() -> tuple[str, ...]:
    """Return the names of all commands a worker calls, in its scripts and beside them."""
    parts = (*transitions.SCRIPTS.values(), *gate.SCRIPTS.values(), sweep.SCRIPT)
    scripts = "".join(lua(*script) for script in parts)
    return tuple(sorted(_BESIDE | set(_CALL.findall(scripts))))


def missing_rights(connection: Redis) -> Missing | None:
    """Return what the user of `connection` is not allowed, or None if the server can't tell (before Redis 7).

    Raises:
        RedisError: the server could not be asked.
    """
    keys = keys_of(connection)
    patterns = [f"{keys.root}{kind}:*" for kind in (*_REGISTRIES, *_OTHERS)]
    channels = [keys.wake("x"), f"{keys.root}pubsub:x"]
    # With all arguments, as when it is called: they tell which keys it is about.
    commands = commands_under(keys)
    asked = {(command, ""): [*command.split(), *commands[command]] for command in needed_commands()}
    for pattern in patterns:
        key = f"{pattern[:-1]}x"
        asked |= {(verb, pattern): [verb, key, *COMMANDS[verb][1:]] for verb in _VERBS}
    for channel in channels:
        asked |= {
            ("SUBSCRIBE", channel): ["SUBSCRIBE", channel],
            ("PUBLISH", channel): ["PUBLISH", channel, ""],
        }
    try:
        script: Any = connection.register_script(lua("engine/preflight/rights"))
        numbers = script(args=[json.dumps(list(asked.values()))])
    except ResponseError as exc:
        if is_denied(exc):
            return Missing(("EVALSHA", "SCRIPT LOAD"), root=keys.root)
        raise
    if numbers is None:
        return None
    names = list(asked)
    return _missing({names[number - 1] for number in numbers}, patterns, channels, keys.root)


def _missing(refused: set[tuple[str, str]], patterns: list[str], channels: list[str], root: str) -> Missing:
    commands = {command for command, on in refused if not on}
    if commands.issuperset(_WRITES):
        # It is the keys that are refused, not each command.
        commands = {command for command in commands if _KEY not in COMMANDS[command]}
    unheard = tuple(name for name in channels if {("SUBSCRIBE", name), ("PUBLISH", name)} <= refused)
    if unheard:
        commands -= {"SUBSCRIBE", "PUBLISH"}
    verbs = [verb for verb in _VERBS if verb not in commands]
    return Missing(
        tuple(sorted(commands)),
        tuple(pattern for pattern in patterns if any((verb, pattern) in refused for verb in verbs)),
        unheard,
        root,
    )
