"""Attempts under CONSUMER spans: the mail's own trace goes on in the worker, and attempts are linked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rq_ses.tracing.spans import Tracing, described
from rq_ses.tracing.trace import LONGEST, TRACEPARENT, Trace
from rq_ses_worker.engine.attempt import Attempt, Attempts, Bulks, Client
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.records import Claim, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import Outcome, Sent, details

if TYPE_CHECKING:
    from rq_ses.campaign.bulkjob import BulkJob

_PROCESS: Final = "process"
_ATTRIBUTES: Final = {
    "outcome": "rq_ses.outcome",
    "status": "http.response.status_code",
    "request_id": "aws.request_id",
    "message_id": "rq_ses.message_id",
    "ambiguous": "rq_ses.in_doubt",
}


class TracedAttempts(Attempts):
    """Makes each attempt under a span of its own.

    Its parent is the span that sent the mail; it is linked to that, and to the attempt before it, whose span
    the job's meta names. Entries of a campaign bring no trace: each of their requests begins one.
    """

    def __init__(
        self,
        tracing: Tracing,
        queues: Sequence[str],
        client: Client,
        policy: RetryPolicy,
        shared: Shared,
        underway: Underway,
        bulk: Callable[[], Bulks] | None = None,
    ) -> None:
        super().__init__(client, policy, shared, underway, bulk)
        self._tracing = tracing
        self._queues = queues
        self._of_thread = threading.local()

    def make(self, claim: Claim) -> Settlement:
        """Make one attempt (Attempts.make); what is tried again, or failed, names its span."""
        self._of_thread.traceparent = None
        settled = super().make(claim)
        meta = {name: value for name, value in settled.meta.items() if name != TRACEPARENT}
        mine = self._of_thread.traceparent
        if mine and settled.action in ("retry", "failed"):
            meta[TRACEPARENT] = mine
        return settled if meta == settled.meta else settled._replace(meta=meta)

    def _send(self, task: Task, claim: Claim) -> Outcome:
        from opentelemetry import trace

        attempts, before = _tried(claim.meta)
        attributes = {"rq_ses.attempt": attempts + 1}
        span = self._span(claim, attributes, task.trace, before)
        self._of_thread.traceparent = self._tracing.carrier(span).get(TRACEPARENT)
        # Whatever is logged, or instrumented, inside belongs to it.
        with trace.use_span(span, end_on_exit=True, record_exception=False):
            outcome = super()._send(task, claim)
            self._tell(span, outcome)
        return outcome

    def _attempted(
        self, bulks: Bulks, claim: Claim, task: Task, job: BulkJob, attempt: Attempt, began: float
    ) -> Settlement:
        from opentelemetry import trace

        attributes = {"rq_ses.campaign": job.campaign, "rq_ses.attempt": attempt.history.attempts + 1}
        span = self._span(claim, attributes)
        with trace.use_span(span, end_on_exit=True, record_exception=False):
            settled = super()._attempted(bulks, claim, task, job, attempt, began)
            if settled.bulk:
                span.set_attribute("messaging.batch.message_count", settled.bulk.entries)
            if settled.outcome:
                self._tell(span, settled.outcome)
        return settled

    def _span(
        self,
        claim: Claim,
        attributes: Mapping[str, Any],
        parent: Trace | None = None,
        before: Trace | None = None,
    ) -> Any:
        """Return the span of an attempt; it is linked to those that led to it."""
        from opentelemetry import trace

        tracing, queue = self._tracing, self._queues[claim.lease.queue]
        return tracing.tracer.start_span(
            f"{_PROCESS} {queue}",
            context=tracing.context(parent),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                **described(_PROCESS, queue),
                "messaging.message.id": claim.lease.job_id,
                **attributes,
            },
            links=[*tracing.link(parent), *tracing.link(before)],
        )

    def _tell(self, span: Any, outcome: Outcome) -> None:
        told = details(outcome)
        for name, attribute in _ATTRIBUTES.items():
            if name in told:
                span.set_attribute(attribute, told[name])
        if not isinstance(outcome, Sent):
            # Its text may hold addresses, and spans go to others.
            self._tracing.fail(span, str(told.get("code") or f"HTTP {outcome.status}"))


def _tried(meta: bytes) -> tuple[int, Trace | None]:
    """Return how many attempts a job's meta tells of, and the span of the last one."""
    try:
        found = json.loads(meta) if meta else {}
    except (ValueError, RecursionError):
        found = {}
    if not isinstance(found, dict):
        return 0, None
    attempts, parent = found.get("attempts"), found.get(TRACEPARENT)
    linked = Trace(parent) if isinstance(parent, str) and len(parent) <= LONGEST else None
    return attempts if isinstance(attempts, int) else 0, linked
