"""Redis: whether it keeps what it is given, lets us do what we must, and answers fast enough."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from rq_ses.keys import Keys, keys_of
from rq_ses.server.clusterowner import is_cluster_url
from rq_ses.server.slot import slot_of
from rq_ses_worker.doctor.finding import Finding, Severity, ok, variable
from rq_ses_worker.engine.preflight.rights import commands_under, missing_rights
from rq_ses_worker.engine.preflight.server import ServerState, judge, read_state
from rq_ses_worker.ses.wire.url import is_loopback

PINGS: Final = 21
NEARLY_FULL: Final = 0.9
SLOW_PING: Final = 0.02
"""Seconds; a mail takes a few round trips, shared with others of its batch, so this is felt."""

_FINE: Final = ServerState("7.2", "standalone", False, 0, "noeviction", True, False, "always")
_TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "version": ("version",),
    "mode": ("mode", "cluster", "script_error"),
    "eviction": ("maxmemory_policy", "maxmemory"),
    "aof": ("aof", "aof_broken", "appendfsync"),
}
_REMEDY: Final = re.compile(r"[;:] (?=(?:set|use|look)\b)")
_ASK: Final = "look at it on the server, or let the user ask (ACL: +info +config|get)"


def check_server(connection: Redis, redis_url: str) -> Iterator[Finding]:
    """Yield what is found about the server. Raises RedisError if it can't be asked."""
    with suppress(NoPermissionError):
        # What refuses even this is no server that anything can be said of.
        connection.ping()
    state = read_state(connection)
    yield from judged(state, keys_of(connection).prefix)
    if state.is_cluster and not is_cluster_url(redis_url):
        yield _one_node()
    yield from _role(connection)
    yield from _writes(connection)
    yield from _access(connection, redis_url)
    yield _latency(connection)


def judged(state: ServerState, prefix: str | None = None) -> Iterator[Finding]:
    """Yield the start-up checks' judgement of a server, a finding for each topic."""
    prefix = prefix or Keys.default().prefix
    for topic, fields in _TOPICS.items():
        findings = judge(replace(_FINE, **{name: getattr(state, name) for name in fields}), prefix)
        if not findings:
            yield ok(f"redis.{topic}", _text_if_ok(topic, state, prefix))
        for finding in findings:
            text, *remedy = _REMEDY.split(finding.text, maxsplit=1)
            severity: Severity = "error" if finding.level == "refuse" else "warning"
            yield Finding(f"redis.{topic}", severity, text, remedy[0] if remedy else _ASK)


def _text_if_ok(topic: str, state: ServerState, prefix: str) -> str:
    match topic:
        case "version":
            return f"speaks Redis {state.version}"
        case "mode" if state.is_cluster:
            return f"cluster mode, all keys in slot {slot_of(prefix)}"
        case "mode":
            return "a single server, or a primary with replicas"
        case "eviction":
            return "never evicts (maxmemory-policy noeviction)"
        case _:
            return f"append-only file on, appendfsync {state.appendfsync or 'unknown'}"


def _one_node() -> Finding:
    return Finding(
        "redis.mode",
        "warning",
        "the URL names one node of a cluster: when another owns the slot, mails wait",
        f"write redis+cluster://host:port,host:port into {variable('redis_url')} (docs/how-to/cluster.md)",
    )


def _role(connection: Redis) -> Iterator[Finding]:
    try:
        info: Any = connection.info("replication")
    except (NoPermissionError, ResponseError):
        return
    if info.get("role") == "slave":
        yield Finding(
            "redis.role",
            "error",
            "a replica: it takes no writes",
            f"point {variable('redis_url')} at the primary, or use redis+sentinel://host:port/SERVICE, "
            "or redis+cluster://host:port,host:port",
        )


def _writes(connection: Redis) -> Iterator[Finding]:
    """Yield why it takes no writes, or soon won't; a trial would be one."""
    try:
        memory: Any = connection.info("memory")
        persistence: Any = connection.info("persistence")
    except (NoPermissionError, ResponseError):
        return
    used, most = _whole(memory.get("used_memory")), _whole(memory.get("maxmemory"))
    evicts = memory.get("maxmemory_policy", "noeviction") != "noeviction"
    if most and used >= NEARLY_FULL * most and not evicts:
        full = used >= most
        yield Finding(
            "redis.memory",
            "error" if full else "warning",
            f"{used / most:.0%} of maxmemory is used" + ": it refuses new mails (OOM)" * full,
            "raise maxmemory, or let workers drain the queues, and delete failed mails nobody will resend",
        )
    if persistence.get("rdb_last_bgsave_status", "ok") != "ok":
        yield Finding(
            "redis.snapshot",
            "warning",
            "the last snapshot failed: it then refuses all writes (MISCONF), unless it was told not to",
            "look at its log, and at space and rights on its disk; then BGSAVE "
            "(stop-writes-on-bgsave-error no lets it go on without snapshots)",
        )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _access(connection: Redis, redis_url: str) -> Iterator[Finding]:
    names = f"{keys_of(connection).root}*"
    remedy = (
        f"let the user write keys and channels {names}, with these commands (ACL SETUSER … ~{names} &{names})"
    )
    try:
        user: Any = connection.execute_command("ACL WHOAMI")
        name = user.decode("utf-8", "replace") if isinstance(user, bytes) else str(user)
        refused = list(_refused(connection, name, commands_under(keys_of(connection))))
        # What a worker asks at its start: of each kind of key, where the dry run asks of one key alone.
        missing = None if refused else missing_rights(connection)
    except (NoPermissionError, ResponseError):
        yield Finding(
            "redis.acl",
            "info",
            "the server doesn't tell what this user may do (ACL DRYRUN needs Redis 7 or Valkey, and +acl)",
            "if workers log NOPERM: " + remedy,
        )
        return
    if refused:
        yield Finding("redis.acl", "error", f"user {name} may not call {', '.join(refused)}", remedy)
    elif missing and missing.lacks:
        yield Finding("redis.acl", "error", f"user {name} may not {missing.lacks}", remedy)
    else:
        yield ok("redis.acl", f"user {name} may do what workers and producers do")
    if name == "default" and not _has_password(redis_url):
        yield Finding(
            "redis.password",
            "info",
            "lets anybody in who reaches it: mails can be read and sent by them",
            "keep it in a private network, or set a password and a user (requirepass, ACL SETUSER)",
        )


def _refused(connection: Redis, user: str, commands: dict[str, tuple[str, ...]]) -> Iterator[str]:
    with connection.pipeline(transaction=False) as pipeline:
        for command, args in commands.items():
            pipeline.execute_command("ACL DRYRUN", user, *command.split(), *args)
        replies: Sequence[Any] = pipeline.execute(raise_on_error=False)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, ResponseError) and "unknown" in str(reply).lower().partition("dryrun")[0]:
            raise reply
        if isinstance(reply, NoPermissionError):
            raise reply
        if isinstance(reply, bytes | str) and reply not in (b"OK", "OK"):
            yield command


def _has_password(redis_url: str) -> bool:
    parts = urlsplit(redis_url)
    local = parts.scheme == "unix" or is_loopback((parts.hostname or "").split(",")[0])
    return local or bool(parts.password) or "password=" in parts.query


def _latency(connection: Redis) -> Finding:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        connection.ping()
        times.append(time.perf_counter() - began)
    median = statistics.median(times)
    longest = max(times) * 1000
    text = f"answers a PING in {median * 1000:.2f} ms (median of {PINGS}, the longest {longest:.1f} ms)"
    if median <= SLOW_PING:
        return ok("redis.latency", text)
    remedy = "bring workers and server closer together, or look for what keeps the server busy (SLOWLOG GET)"
    return Finding("redis.latency", "warning", text, remedy)
