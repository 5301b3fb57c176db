"""What the ends of a batch of attempts tell the account's gate: counted here, judged in observe.lua."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rq_ses_worker.account.gate import View
from rq_ses_worker.account.scope import Scope, scope
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.ses.outcome import RateLimited, Sent, summary

LINE_LIMIT = 300

Verdict = Literal["", "pass", "fail", "void"]


@dataclass(slots=True)
class Observation:
    """A tally of attempts, in the order in which they ended."""

    healthy: bool = False
    """One at least ended well, or for a reason of its mail alone."""
    failing: int = 0
    trailing: int = 0
    """Failed ones since the last healthy one."""
    limited: bool = False
    """SES answered that it was asked too fast."""
    line: str = ""
    """About the last failure; of the account, if there was one."""
    account: bool = False
    """The line concerns every mail of the account."""
    probe: str = ""
    """JOB:EXECUTION of the probe that has ended; `verdict` says how."""
    verdict: Verdict = ""

    def tells(self, view: View) -> bool:
        """Tell whether the gate, as a claim saw it last, has anything to learn from this."""
        if self.failing or self.limited or self.account or self.probe:
            return True
        return self.healthy and view.failures > 0


_VERDICTS: dict[Scope, Verdict] = {"account": "fail", "failing": "fail", "neutral": "fail", "healthy": "pass"}


def observed(settlements: Sequence[Settlement]) -> Observation:
    """Return what a batch of settlements tells."""
    found = Observation()
    for settlement in settlements:
        outcome = settlement.outcome
        if type(outcome) is Sent and not settlement.probe:
            found.healthy, found.trailing = True, 0
        elif outcome is not None:
            _count(found, settlement)
        elif settlement.probe:
            _end_probe(found, settlement, "void")
    return found


def _count(found: Observation, settlement: Settlement) -> None:
    outcome = settlement.outcome
    assert outcome is not None  # noqa: S101 - for the type checker
    about = scope(outcome)
    if settlement.probe:
        _end_probe(found, settlement, _VERDICTS[about])
    if isinstance(outcome, RateLimited) and not outcome.quota:
        found.limited = True
    if about == "healthy":
        found.healthy, found.trailing = True, 0
    elif about == "failing":
        found.failing, found.trailing = found.failing + 1, found.trailing + 1
    if about == "account" or (about != "healthy" and not found.account):
        found.line = summary(outcome)[:LINE_LIMIT]
    found.account = found.account or about == "account"


def _end_probe(found: Observation, settlement: Settlement, verdict: Verdict) -> None:
    found.probe = f"{settlement.lease.job_id}:{settlement.lease.execution}"
    found.verdict = verdict
