"""Whether worker processes are alive (/healthz) and can send (/readyz): pure, from their tallies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rq_ses.gate import GateState
from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.scope import KEYS_REFUSED
from rq_ses_worker.monitoring.tally import Reading

STALE: Final = 60.0
"""Seconds without a sign of life after which a process hangs; commands to Redis that time out may take 20."""


def why_unhealthy(readings: Sequence[Reading], clock: float) -> list[str]:
    """Return what is wrong with the processes that should be alive, a line each; nothing if all are well.

    Args:
        readings: of all worker processes.
        clock: time.monotonic() now.
    """
    found = []
    for number, reading in enumerate(readings, 1):
        name = _name(number, len(readings))
        # One that stops waits for what it is sending, and says so to nobody.
        if reading.phase in ("absent", "stopping"):
            continue
        if clock - reading.pulse > STALE:
            found.append(f"{name} hangs: its dispatcher has not gone round for {clock - reading.pulse:.0f} s")
        elif reading.phase == "working" and clock - reading.heart > STALE:
            found.append(
                f"{name}: a thread of it has ended, or its heartbeat hangs ({clock - reading.heart:.0f} s)"
            )
    if all(reading.phase == "absent" for reading in readings):
        found.append("no worker process runs")
    return found


def why_not_ready(
    readings: Sequence[Reading], clock: float, gate: GateState | None, *, redis_answers: bool
) -> list[str]:
    """Return why no mail can be sent, a line each; nothing if one process at least is at work and may send.

    Args:
        readings: of all worker processes.
        clock: time.monotonic() now.
        gate: the account's, if it could be read.
        redis_answers: whether it could be asked.
    """
    found = why_unhealthy(readings, clock)
    if not found and not any(reading.phase == "working" for reading in readings):
        found.append(
            "stopping"
            if any(reading.phase == "stopping" for reading in readings)
            else "Redis has not been reached yet, or not been found fit (preflight)"
        )
    if not redis_answers:
        found.append("Redis does not answer")
    if gate is not None and gate.breaker != "closed" and _blames_keys(gate.reason):
        found.append(f"the breaker is open for the credentials: {one_line(gate.reason, 200)}")
    return found


def _blames_keys(reason: str) -> bool:
    """Tell whether credentials have opened the breaker: then it stays open until somebody acts."""
    return reason.partition(" ")[0].rstrip(":") in KEYS_REFUSED


def _name(number: int, count: int) -> str:
    return "the worker" if count == 1 else f"worker process {number}"
