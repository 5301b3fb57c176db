"""The account's gate in Redis, which all workers share: breaker and send rate."""

from __future__ import annotations

from collections.abc import Iterator

from rq_ses.gate import GateState
from rq_ses_worker.doctor.finding import Finding, ok


def judged_gate(state: GateState) -> Iterator[Finding]:
    """Yield what holds mails back at the gate."""
    if state.breaker == "closed":
        yield ok("gate.breaker", "the breaker is closed: mails go out")
    else:
        yield _open(state)
    yield _rate(state)


def _open(state: GateState) -> Finding:
    since = "" if state.open_for is None else f" for {state.open_for:,.0f} s"
    why = state.reason or "no reason is known"
    if state.manual:
        text = f"the breaker was opened by hand{since}, so nothing is sent: {why}"
        return Finding("gate.breaker", "error", text, "close it once it may: rq-ses breaker close")
    if state.breaker == "half-open":
        then = f"a mail is being sent as a probe ({state.probe})" if state.probe else "a probe is due"
    elif state.next_probe_in is None:
        then = "no probe is planned"
    else:
        then = f"the next probe is due in {state.next_probe_in:.0f} s"
    return Finding(
        "gate.breaker",
        "error",
        f"the breaker is {state.breaker}{since}, so mails wait: {why}; {then}",
        "mend the cause: it closes by itself after a probe that is sent, or at once by rq-ses breaker close",
    )


def _rate(state: GateState) -> Finding:
    use = f"{state.rate_in_use:,.6g} recipients a second are being sent"
    if state.rate is None:
        return ok("gate.rate", f"{use}; no limit is known")
    if state.max_send_rate is not None and state.rate < state.max_send_rate:
        return Finding(
            "gate.rate",
            "info",
            f"{use}; lowered to {state.rate:,.6g} of {state.max_send_rate:,.6g} after SES asked for less",
            "it rises by itself; if it falls again and again, somebody else sends on this account: "
            "set RQ_SES_MAX_SEND_RATE to this worker's share",
        )
    return ok("gate.rate", f"{use}; the limit is {state.rate:,.6g}")
