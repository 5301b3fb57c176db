"""Start-up checks: whether this server keeps what it is given, and lets us do all we must.

`judge` is pure; `read_state` asks the server. What a server would lose by design is refused, what it may lose
in a crash is warned of, each with the line for redis.conf.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from rq_ses.errors import RqSesError
from rq_ses.keys import Keys, keys_of
from rq_ses.server.refusal import is_denied, is_passing
from rq_ses.server.slot import is_tagged, tag_remedy
from rq_ses.text.invalid import shown
from rq_ses.text.plaintext import one_line
from rq_ses_worker.engine.preflight.rights import Missing, missing_rights
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

Mode = Literal["refuse", "warn", "off"]

_STUCK: Final = (
    "look at its version: Valkey 9.0.0 to 9.1.2 in cluster mode can come into a state in which every script "
    "of every client fails until it is started anew. Let a replica take its place (CLUSTER FAILOVER), and "
    "restart it"
)

OLDEST: Final = (6, 2)
"""COPY, which keeps receipts small, came with Redis 6.2."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself; None where it doesn't say."""

    version: str | None = None
    """Of Valkey: the Redis it is compatible with."""
    mode: str | None = None
    cluster: bool | None = None
    maxmemory: int | None = None
    maxmemory_policy: str | None = None
    aof: bool | None = None
    aof_broken: bool = False
    appendfsync: str | None = None
    script_error: str = ""
    """What a script that does nothing was answered, if that was an error."""

    @property
    def is_cluster(self) -> bool:
        """Whether it is a node of a cluster."""
        return bool(self.cluster) or self.mode == "cluster"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and its remedy."""

    level: Literal["refuse", "warn"]
    text: str
    right: bool = False
    """It is a right that this user lacks."""
    stops: bool = False
    """No step can be done with it, whatever `mode` says."""


class ServerUnfit(RqSesError):
    """Raised when the server would lose mails by design; `findings` say how, and the remedies."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__("; ".join(finding.text for finding in findings))


def preflight(
    connection: Redis, mode: Mode, known: tuple[Finding, ...] = (), *, rights: bool = True
) -> tuple[Finding, ...]:
    """Check the server, log what is wrong with it beside what is `known`, and return all of it.

    Without `rights` it isn't asked whether this user may do all that a worker does.

    Raises:
        ServerUnfit: with `mode` "refuse", if the server is unfit.
        RedisError: the server could not be asked.
    """
    if mode == "off":
        return ()
    findings = judge(read_state(connection), keys_of(connection).prefix)
    if rights and all(finding.level == "warn" for finding in findings):
        # What is no server for us at all (a Sentinel) knows no scripts either.
        findings = (*judge_rights(missing_rights(connection)), *findings)
    unfit = tuple(finding for finding in findings if finding.level == "refuse")
    if unfit and mode == "refuse":
        raise ServerUnfit(unfit)
    for finding in findings:
        if finding not in known:
            events.REDIS_UNFIT.log(log, finding=finding.text)
    return findings


def read_state(connection: Redis) -> ServerState:
    """Ask the server for its INFO and, where it may be read, its CONFIG.

    Raises:
        RedisError: the server is away; that it doesn't answer one question is no error.
    """
    info: dict[str, Any] = {}
    for section in ("server", "cluster", "memory", "persistence"):
        try:
            answer: Any = connection.info(section)
        except (NoPermissionError, ResponseError):
            continue
        info.update(answer)
    config: dict[Any, Any] = {}
    # One by one: managed servers refuse CONFIG, or some of its names.
    for name in ("appendfsync", "maxmemory-policy", "maxmemory"):
        try:
            config.update(connection.config_get(name) or {})
        except (NoPermissionError, ResponseError):
            break
    state = state_of(info, {_text(name): _text(value) for name, value in config.items()})
    return replace(state, script_error=_script_error(connection)) if state.is_cluster else state


def _script_error(connection: Redis) -> str:
    try:
        connection.register_script("return 1")()
    except ResponseError as exc:
        # What passes is waited for; a right that is missing is told with the others.
        if is_passing(exc):
            raise
        return "" if is_denied(exc) else one_line(str(exc), 150)
    return ""


def state_of(info: Mapping[str, Any], config: Mapping[str, str]) -> ServerState:
    """Return the state that the answers to INFO and CONFIG describe, whatever is missing in them."""
    aof = _number(info.get("aof_enabled"))
    cluster = _number(info.get("cluster_enabled"))
    maxmemory = _number(info.get("maxmemory"))
    policy = info.get("maxmemory_policy") or config.get("maxmemory-policy")
    return ServerState(
        version=str(info["redis_version"]) if info.get("redis_version") else None,
        mode=str(info.get("redis_mode") or info.get("server_mode") or "") or None,
        cluster=bool(cluster) if cluster is not None else None,
        maxmemory=maxmemory if maxmemory is not None else _number(config.get("maxmemory")),
        maxmemory_policy=str(policy) if policy else None,
        aof=bool(aof) if aof is not None else None,
        aof_broken=str(info.get("aof_last_write_status", "ok")) != "ok",
        appendfsync=config.get("appendfsync"),
    )


def judge(state: ServerState, prefix: str | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with a server, the gravest first, for keys under `prefix` (the process's own)."""
    findings = [*_unfit(state, prefix or Keys.default().prefix), *_eviction(state), *_log_file(state)]
    unknown = [
        name
        for name, value in {
            "its version": state.version,
            "maxmemory-policy": state.maxmemory_policy,
            "appendonly": state.aof,
            # Without an append-only file there is nothing it would apply to.
            "appendfsync": state.appendfsync if state.aof else "",
        }.items()
        if value is None
    ]
    if unknown:
        findings.append(
            Finding("warn", f"could not be checked (the server does not say): {', '.join(unknown)}")
        )
    return tuple(sorted(findings, key=lambda finding: finding.level != "refuse"))


def judge_rights(missing: Missing | None) -> tuple[Finding, ...]:
    """Return what is wrong with what the user may do: a step it may not finish must not be begun."""
    if missing is None:
        text = "could not be checked (the server does not say): what this user may do (Redis 7 says it)"
        return (Finding("warn", text),)
    return (Finding("refuse", str(missing), right=True),) if str(missing) else ()


def _unfit(state: ServerState, prefix: str) -> list[Finding]:
    findings = []
    numbers = re.match(r"(\d+)\.(\d+)", state.version or "")
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        version = one_line(str(state.version), 40)
        findings.append(Finding("refuse", f"version {version} is too old: use Redis 6.2 or later, or Valkey"))
    if state.is_cluster and not is_tagged(prefix):
        findings.append(
            Finding(
                "refuse",
                "it runs in cluster mode, where one step changes only keys of one slot, and the prefix "
                f"{shown(prefix)} has no hash tag; {tag_remedy()}",
                stops=True,
            )
        )
    if state.script_error:
        findings.append(Finding("refuse", f"it fails every script ({state.script_error}); {_STUCK}"))
    if state.mode == "sentinel":
        findings.append(
            Finding("refuse", "this is a Sentinel, not a server: use redis+sentinel://host:port/SERVICE")
        )
    return findings


def _eviction(state: ServerState) -> list[Finding]:
    policy = one_line(state.maxmemory_policy or "noeviction", 40)
    if policy == "noeviction":
        return []
    remedy = "set: maxmemory-policy noeviction"
    if state.maxmemory == 0:
        return [
            Finding("warn", f"maxmemory-policy {policy} will evict mails once maxmemory is set; {remedy}")
        ]
    if policy.startswith("volatile-"):
        text = f"maxmemory-policy {policy} evicts failed mails and the memory of keys when memory is short"
        return [Finding("refuse", f"{text}; {remedy}")]
    return [
        Finding("refuse", f"maxmemory-policy {policy} evicts queued mails when memory is short; {remedy}")
    ]


def _log_file(state: ServerState) -> list[Finding]:
    if state.aof is False:
        text = "without an append-only file a restart loses all mails since the last snapshot"
        return [Finding("warn", f"{text}; set: appendonly yes")]
    findings = []
    if state.aof_broken:
        findings.append(
            Finding("warn", "its append-only file could not be written lately: look at its log and its disk")
        )
    if state.appendfsync == "no":
        text = "appendfsync no leaves it to the system when mails reach the disk (on Linux up to 30 s)"
        findings.append(Finding("warn", f"{text}; set: appendfsync everysec, or always"))
    return findings


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
