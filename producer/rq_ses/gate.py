"""The gate of an SES account as it stands in Redis: read it, open and close its breaker by hand.

The gate itself is the workers' (they ask it with each claim); this needs Redis alone, and reading changes
nothing. All times are Redis's own.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import Redis

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.server.serverclock import epoch
from rq_ses.text.plaintext import one_line

Breaker = Literal["closed", "open", "half-open"]

REASON_LIMIT: Final = 300

_GATE: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{1,64})")

_FRESH: Final = 3.0
"""Seconds without a claim after which nothing is in use."""

_FLOW: Final = struct.Struct(contract.FLOW_FORMAT)


@dataclass(frozen=True, slots=True)
class GateState:
    """An account's gate: moments in epoch seconds, rates in recipients a second, None is unknown or none."""

    account: str
    region: str
    now: float
    breaker: Breaker
    manual: bool
    """Opened by hand (`open_breaker`): no probes are made, and only `close_breaker` closes it."""
    reason: str
    """Why it is open, or was last."""
    since: float | None
    """When it opened last."""
    next_probe: float | None
    probe: str | None
    """Job that is being probed with."""
    closed_at: float | None
    openings: int
    failures: int
    """Attempts that failed in a row."""
    claimed: int
    """Mails that were ever handed to workers."""
    rate: float | None
    """What may be sent now; None is any number."""
    max_send_rate: float | None
    """What SES allows, or the settings."""
    rate_in_use: float
    """What was claimed in the last second or two."""
    quota: float | None
    """What SES allows in 24 hours; None is unknown, or without bound."""
    quota_left: float | None
    """What is left of it: as SES said, less what was claimed since."""
    answered: float | None
    """When SES told the limits last."""
    refused: float | None
    """When it last didn't, if it hasn't since."""

    @property
    def is_used(self) -> bool:
        """Whether a worker has claimed by it, SES was asked for its limits, or its breaker has moved."""
        moved = self.breaker != "closed" or self.closed_at is not None
        return moved or self.claimed > 0 or self.answered is not None or self.refused is not None

    @property
    def open_for(self) -> float | None:
        """Seconds since it opened; None while it is closed."""
        return None if self.breaker == "closed" or self.since is None else max(0.0, self.now - self.since)

    @property
    def quota_is_known(self) -> bool:
        """Tell whether SES has told the day's quota lately: then one of None is no bound."""
        return self.answered is not None and self.now - self.answered < contract.QUOTA_DAY

    @property
    def rate_is_known(self) -> bool:
        """Tell whether SES, or a setting, has told a rate: then one of None is no bound."""
        return self.answered is not None or self.max_send_rate is not None

    @property
    def next_probe_in(self) -> float | None:
        """Seconds until a probe may be made; None if none is planned."""
        return None if self.next_probe is None else max(0.0, self.next_probe - self.now)


def read_gate(connection: Redis, account: str, region: str) -> GateState:
    """Return an account's gate as it stands; one that nobody has used yet is closed.

    Raises redis.exceptions.RedisError.
    """
    client: Any = connection
    # No transaction: a full Redis 7 takes none, not even one that only reads.
    with client.pipeline(transaction=False) as pipeline:
        stored, told = pipeline.hgetall(keys_of(connection).account(account, region)).time().execute()
    return _state(account, region, epoch(told), stored)


def gate_name(text: str) -> tuple[str, str] | None:
    """Return account and region of `ACCOUNT:REGION`; None for what can't be a gate's name."""
    match = _GATE.fullmatch(text)
    return (match[1], match[2]) if match else None


def is_there(connection: Redis, account: str, region: str) -> bool:
    """Tell whether there is a gate of that name. Raises redis.exceptions.RedisError."""
    key = keys_of(connection).account(account, region)
    return bool(connection.exists(key)) or (account, region) in gates(connection)


def gates(connection: Redis) -> list[tuple[str, str]]:
    """Return account and region of each gate that stands in Redis, or that a worker names.

    It scans all keys: call it for a command, never in a loop. Raises redis.exceptions.RedisError.
    """
    client: Any = connection
    keys = keys_of(connection)
    prefix = keys.account("", "").removesuffix(":")
    found = {
        key.decode("utf-8", "replace").removeprefix(prefix) for key in client.scan_iter(f"{prefix}*", 1000)
    }
    return sorted({*named_gates(connection), *(gate for name in found if (gate := gate_name(name)))})


def named_gates(connection: Redis) -> list[tuple[str, str]]:
    """Return account and region of each gate that a worker names. Raises redis.exceptions.RedisError."""
    client: Any = connection
    with client.pipeline(transaction=False) as pipeline:
        for key in client.smembers(keys_of(connection).workers):
            pipeline.hget(key, contract.ACCOUNT_FIELD)
        named = pipeline.execute(raise_on_error=False)
    found = {name.decode("utf-8", "replace") for name in named if isinstance(name, bytes)}
    return sorted(gate for name in found if (gate := gate_name(name)))


def open_breaker(connection: Redis, account: str, region: str, reason: str) -> None:
    """Open an account's breaker until it is closed by hand: no worker claims anything, no probe is made.

    Raises redis.exceptions.RedisError.
    """
    key = keys_of(connection).account(account, region)
    client: Any = connection
    seconds, microseconds = client.time()
    now = f"{seconds}.{microseconds:06d}"
    with client.pipeline(transaction=True) as pipeline:
        fields = {"state": "open", "manual": "1", "since": now, "reason": one_line(reason, REASON_LIMIT)}
        pipeline.hset(key, mapping=fields).hincrby(key, "opened", 1)
        pipeline.hdel(key, "probe", "probe_until", "last_probe", "next_probe", "spacing")
        pipeline.execute()


def close_breaker(connection: Redis, account: str, region: str) -> bool:
    """Close an account's breaker, whoever opened it; return whether it was open.

    Workers notice within a second. Raises redis.exceptions.RedisError.
    """
    key = keys_of(connection).account(account, region)
    client: Any = connection
    seconds, microseconds = client.time()
    with client.pipeline(transaction=True) as pipeline:
        pipeline.hget(key, "state")
        pipeline.hset(
            key, mapping={"state": "closed", "closed_at": f"{seconds}.{microseconds:06d}", "fails": 0}
        )
        pipeline.hdel(key, "manual", "probe", "probe_until", "last_probe", "next_probe", "spacing")
        state = pipeline.execute()[0]
    return state in (b"open", b"half-open")


class _Fields:
    """The fields of an account's hash, each checked: any client may have written them."""

    def __init__(self, stored: Mapping[bytes, bytes]) -> None:
        self._stored = stored

    def text(self, name: str) -> str:
        return self._stored.get(name.encode(), b"").decode("utf-8", "replace")

    def number(self, name: str) -> float | None:
        try:
            value = float(self.text(name))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    @property
    def breaker(self) -> Breaker:
        state = self.text("state")
        return "open" if state == "open" else "half-open" if state == "half-open" else "closed"


def _state(account: str, region: str, now: float, stored: Mapping[bytes, bytes]) -> GateState:
    fields, flow = _Fields(stored), _flow(stored.get(b"flow", b""))
    breaker = fields.breaker
    # As in account/gate.lua: SES tells an account without bound by a number below 0.
    ceiling = next((rate for rate in (flow["fixed"], flow["rate"]) if rate > 0), None)
    quota = (flow["quota"] if now - flow["answered"] < contract.QUOTA_DAY else 0.0) or None
    claimed = flow["recipients"] - flow["counted"]
    probe = fields.text("probe").partition(":")[0]
    return GateState(
        account=account,
        region=region,
        now=now,
        breaker=breaker,
        manual=breaker != "closed" and fields.text("manual") == "1",
        reason=one_line(fields.text("reason"), REASON_LIMIT),
        since=fields.number("since"),
        next_probe=fields.number("next_probe") if breaker == "open" else None,
        probe=one_line(probe, 80) if breaker == "half-open" and probe else None,
        closed_at=fields.number("closed_at"),
        openings=int(fields.number("opened") or 0),
        failures=int(fields.number("fails") or 0),
        claimed=int(flow["mails"]),
        rate=_allowance(ceiling, flow, now),
        max_send_rate=ceiling,
        rate_in_use=_in_use(flow, now),
        quota=quota,
        quota_left=None if quota is None else max(0.0, quota - flow["used"] - claimed),
        answered=flow["answered"] or None,
        refused=flow["refused"] or None,
    )


def _flow(packed: bytes) -> dict[str, float]:
    values = _FLOW.unpack(packed) if len(packed) == _FLOW.size else (0.0,) * len(contract.FLOW_NAMES)
    return {
        name: value if math.isfinite(value) else 0.0
        for name, value in zip(contract.FLOW_NAMES, values, strict=True)
    }


def _allowance(ceiling: float | None, flow: Mapping[str, float], now: float) -> float | None:
    top = flow["top"]
    # One that was lowered in the future is forgotten: the clock was set back.
    if top <= 0 or now < flow["lowered_at"] - 1:
        return ceiling
    rate = max(0.05, flow["low"]) + contract.RATE_GROWTH * top * max(0.0, now - flow["lowered_at"])
    if ceiling is not None:
        return min(ceiling, rate)
    return rate if rate < contract.RATE_FORGOTTEN * top else None


def _in_use(flow: Mapping[str, float], now: float) -> float:
    if now - flow["b_at"] > _FRESH:
        return 0.0
    return max(0.0, flow["recipients"] - flow["a_recipients"]) / max(1.0, now - flow["a_at"])
