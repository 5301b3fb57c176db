"""Says in the worker's log, once, that the account's gate has closed, and that it is open again."""

from __future__ import annotations

import logging
import time
from typing import Final

from rq_ses.gate import GateState
from rq_ses.text.figures import figure
from rq_ses_worker.account.gate import BREAKER_OPEN, View
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

_QUIET: Final = 60.0
"""Seconds without a refusal after which the day has room again: near its end every mail changes that."""


class GateWatch:
    """Compares what one claim after the other saw of the gate."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._open = False
        self._openings = 0
        self._quota_at: float | None = None

    def look(self, view: View) -> None:
        """Log what has changed. May raise redis.exceptions.RedisError."""
        is_open = view.refusal in BREAKER_OPEN
        if is_open and (not self._open or view.openings != self._openings):
            events.BREAKER_OPENED.log(log, reason=_why(self._lifecycle.gate_state()))
        if view.refusal == "probe":
            events.BREAKER_PROBES.log(log, job_id=self._lifecycle.gate_state().probe)
        if self._open and not is_open:
            events.BREAKER_CLOSED.log(log, after=_after(self._lifecycle.gate_state()))
        self._open, self._openings = is_open, view.openings
        self._watch_quota(view)

    def _watch_quota(self, view: View) -> None:
        clock = time.monotonic()
        if view.refusal == "quota":
            if self._quota_at is None:
                events.QUOTA_USED_UP.log(log, state=_day(self._lifecycle.gate_state()))
            self._quota_at = clock
        elif self._quota_at is not None and clock - self._quota_at >= _QUIET:
            events.QUOTA_LEFT.log(log)
            self._quota_at = None


def _why(state: GateState) -> str:
    if state.manual:
        return f"{state.reason or 'by hand'}; no probes until `rq-ses breaker close`"
    pause = state.next_probe_in
    return state.reason + ("" if pause is None else f"; next probe in {pause:.0f} s")


def _after(state: GateState) -> str:
    if state.since is None or state.closed_at is None:
        return ""
    return f" after {max(0.0, state.closed_at - state.since):.0f} s"


def _day(state: GateState) -> str:
    if state.quota_left:
        left, all_ = _number(state.quota_left), _number(state.quota)
        return f"daily quota: {left} of {all_} recipients are left, fewer than the next mail has"
    return f"daily quota used up ({_number(state.quota)} in 24 hours)"


def _number(value: float | None) -> str:
    return "?" if value is None else figure(value)
