"""What the ends of a batch of attempts tell the account's gate: counted here, judged in observe.lua."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from rq_ses_worker.account.gate import Gate, Observation, Verdict
from rq_ses_worker.account.scope import Scope, scope
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.logging import events
from rq_ses_worker.server.errand import Errand
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, summary

log = logging.getLogger(__name__)

LINE_LIMIT: Final = 300
"""Characters of the line about the last failure."""

_VERDICTS: Final[dict[Scope, Verdict]] = {
    "account": "fail",
    "failing": "fail",
    "neutral": "fail",
    "healthy": "pass",
}


def observed(settlements: Sequence[Settlement]) -> Observation:
    """Return what a batch of settlements tells."""
    found = Observation()
    for settlement in settlements:
        outcome = settlement.outcome
        if settlement.probe:
            found.probe = settlement.lease.member
            found.verdict = "void" if outcome is None else _VERDICTS[scope(outcome)]
        if settlement.bulk and len(settlement.bulk.outcomes) > 1:
            _count_all(found, [outcome for outcome, _ in settlement.bulk.outcomes])
        elif type(outcome) is Sent:
            found.healthy, found.trailing = True, 0
        elif outcome is not None:
            _count(found, outcome)
    return found


def _count_all(found: Observation, outcomes: Sequence[Outcome]) -> None:
    """Count the answer to a bulk request, which is one attempt, whatever it says to each entry."""
    failing, trailing = found.failing, found.trailing
    for outcome in outcomes:
        _count(found, outcome)
    if any(scope(outcome) == "healthy" for outcome in outcomes):
        found.failing, found.trailing, found.healthy = failing, 0, True
    else:
        found.failing, found.trailing = min(found.failing, failing + 1), min(found.trailing, trailing + 1)


def _count(found: Observation, outcome: Outcome) -> None:
    about = scope(outcome)
    if isinstance(outcome, RateLimited) and not outcome.quota:
        found.limited = True
    if about == "healthy":
        found.healthy, found.trailing = True, 0
    elif about == "failing":
        found.failing, found.trailing = found.failing + 1, found.trailing + 1
    if about == "account" or (about != "healthy" and not found.account):
        found.line = summary(outcome)[:LINE_LIMIT]
    found.account = found.account or about == "account"


def telling(gate: Gate, seen: Observation) -> Errand[None]:
    """Return what tells the gate."""

    def read(replies: Sequence[Any]) -> None:
        if isinstance(replies[0], Exception):
            # The outcomes are written: saying them again for this would only make them look late.
            events.GATE_UNTOLD.log(log, error=str(replies[0]))

    return Errand([gate.observe(seen)], read)
