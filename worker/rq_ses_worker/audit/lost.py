"""What becomes of a mail that was being sent when its worker was lost: pure, by the rules of reclaim."""

from __future__ import annotations

import json
from typing import Any

from rq_ses import states
from rq_ses.text.plaintext import one_line
from rq_ses_worker.audit.placement import Placement, Repair
from rq_ses_worker.lifecycle.records import is_fresh
from rq_ses_worker.lifecycle.retry import WORKER_LOST, Failed, History, RetryPolicy, decide, lost_worker
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import hinted


def resolved(
    placement: Placement, repair: Repair, task: Task | None, policy: RetryPolicy, *, now: float
) -> tuple[Repair, dict[str, Any]]:
    """Return what is to be done, and the job's meta after it.

    Args:
        placement: where the job stands.
        repair: what is done if the policy lets it be sent again.
        task: what the job asks for, if that can be read.
        policy: the worker's.
        now: epoch seconds by the server's clock.
    """
    fresh = any(execution.ours and is_fresh(execution.id) for execution in placement.started)
    outcome = lost_worker(one_line(placement.worker, 100))
    history = History.from_meta(placement.meta, fresh=fresh)
    if not _is_noted(placement):
        history = history.after(outcome, now)
    policy = policy.for_mail(task.on_unknown) if task else policy
    decision = decide(outcome, history, policy, ended=now, expires=task.expires if task else None)
    meta = history.to_meta(outcome)
    if isinstance(decision, Failed):
        line = hinted(decision.line, outcome)
        return Repair(states.FAILED, states.FAILED, f"failed: {decision.line}", line=line), meta
    return repair, meta


def _is_noted(placement: Placement) -> bool:
    """Tell whether a stock worker's attempt is counted already: job.py does so before the request leaves."""
    if not placement.started or any(execution.ours for execution in placement.started):
        return False
    try:
        return bool(json.loads(placement.meta)["last_outcome"]["code"] == WORKER_LOST)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
