"""The account's gate in Redis, which all workers share: breaker and send rate."""

from __future__ import annotations

from collections.abc import Iterator

from rq_ses.gate import GateState
from rq_ses.message import limits
from rq_ses.text.figures import figure
from rq_ses_worker.doctor.finding import Finding, ok, variable


def judged_gate(state: GateState, *, served: bool = True) -> Iterator[Finding]:
    """Yield what holds mails back at the gate; `served` tells whether a worker of the account lives."""
    if state.breaker == "closed":
        then = (
            "mails go out" if state.is_used else "no worker has gone by it yet (see --account and --region)"
        )
        yield ok("gate.breaker", f"the breaker is closed: {then}")
    else:
        yield _open(state, served=served)
    yield _rate(state)
    if state.quota_left is not None:
        yield _day(state, state.quota_left)


def _open(state: GateState, *, served: bool) -> Finding:
    since = "" if state.open_for is None else f" for {state.open_for:,.0f} s"
    why = state.reason or "no reason is known"
    if state.manual:
        text = f"the breaker was opened by hand{since}, so nothing is sent: {why}"
        return Finding("gate.breaker", "error", text, "close it once it may: rq-ses breaker close")
    if state.breaker == "half-open" and (state.probe or served):
        then = f"a mail is being sent as a probe ({state.probe})" if state.probe else "a probe is due"
    elif not served:
        then = "no probe is made while no worker of the account runs"
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


def _day(state: GateState, left: float) -> Finding:
    text = f"{left:,.0f} of {state.quota or 0:,.0f} recipients of the day are left, by the workers' count"
    if left >= limits.RECIPIENTS.most:
        # Any mail may go out.
        return ok("gate.quota", text)
    remedy = "ask AWS for a higher sending quota (Service Quotas), or spread the mails over more hours"
    if state.refused is not None:
        text += ", which SES no longer corrects: the workers can't ask it (GetAccount)"
        remedy = "let the workers' key call ses:GetAccount: rq-ses doctor --policy"
    if left >= 1:
        return Finding("gate.quota", "warning", f"{text}: a mail to more of them waits", remedy)
    return Finding("gate.quota", "error", f"{text}, so mails wait", remedy)


def _rate(state: GateState) -> Finding:
    use = f"{state.rate_in_use:,.1f} recipients a second are being sent"
    if state.rate is None:
        bound = "there is no limit" if state.rate_is_known else "the limit is not known: SES hasn't told it"
        return ok("gate.rate", f"{use}; {bound}")
    if state.max_send_rate is not None and state.rate < state.max_send_rate:
        return Finding(
            "gate.rate",
            "info",
            f"{use}; lowered to {figure(state.rate)} of {figure(state.max_send_rate)} after a 429 of SES",
            "it rises by itself; if it falls again and again, somebody else sends on this account: "
            f"set {variable('max_send_rate')} to this worker's share",
        )
    return ok("gate.rate", f"{use}; the limit is {figure(state.rate)}")
