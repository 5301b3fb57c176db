"""Says in the worker's log, once, that the account's gate has closed, and that it is open again."""

from __future__ import annotations

import logging

from rq_ses.gate import GateState
from rq_ses_worker.gate import BREAKER_OPEN, View
from rq_ses_worker.lifecycle import Lifecycle

log = logging.getLogger(__name__)


class GateWatch:
    """Compares what one claim after the other saw of the gate."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._open = False
        self._openings = 0
        self._quota = False

    def look(self, view: View) -> None:
        """Log what has changed. May raise redis.exceptions.RedisError."""
        is_open = view.refusal in BREAKER_OPEN
        if is_open and (not self._open or view.openings != self._openings):
            log.warning("breaker open: %s", _why(self._lifecycle.gate_state()))
        if view.refusal == "probe":
            log.info("breaker half-open: probing with job %s", self._lifecycle.gate_state().probe)
        if self._open and not is_open:
            log.warning("breaker closed%s", _after(self._lifecycle.gate_state()))
        self._open, self._openings = is_open, view.openings
        self._watch_quota(view)

    def _watch_quota(self, view: View) -> None:
        if view.refusal == "quota" and not self._quota:
            state = self._lifecycle.gate_state()
            log.warning("daily quota used up (%s in 24 hours): mails wait in the queue", _number(state.quota))
        elif self._quota and view.refusal != "quota":
            log.warning("daily quota: there is something left again")
        self._quota = view.refusal == "quota"


def _why(state: GateState) -> str:
    if state.manual:
        return f"{state.reason or 'by hand'}; no probes until `rq-ses breaker close`"
    pause = state.next_probe_in
    return state.reason + ("" if pause is None else f"; next probe in {pause:.0f} s")


def _after(state: GateState) -> str:
    if state.since is None or state.closed_at is None:
        return ""
    return f" after {max(0.0, state.closed_at - state.since):.0f} s"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
