"""The metrics of worker processes and of what they share, in Prometheus's form.

Import it where metrics are shown, not before: prometheus_client takes memory. Names and labels are documented
in docs/metrics.md; there are no addresses among them, and as many codes as the tally keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rq_ses import states
from rq_ses.gate import GateState
from rq_ses.outcomes.backlog import Backlog
from rq_ses.status.snapshot import QueueState
from rq_ses_worker.monitoring.shared import SharedState
from rq_ses_worker.monitoring.tally import EXCHANGE, QUEUE_WAIT, SETTLE_LAG, Histogram, Reading

CONTENT_TYPE: Final[str] = CONTENT_TYPE_LATEST

HISTOGRAMS: Final = {
    "rq_ses_exchange_seconds": (EXCHANGE, "One attempt: reading the mail, signing, the exchange with SES."),
    "rq_ses_queue_wait_seconds": (QUEUE_WAIT, "From a mail's enqueueing, or its time, to its claim."),
    "rq_ses_settle_lag_seconds": (SETTLE_LAG, "From the end of an attempt to its outcome in Redis."),
}

ALERTED: Final = ("Bounce Permanent", "Complaint")
"""Kinds of SES's events that an account's standing depends on."""


def render(readings: Sequence[Reading], shared: SharedState | None) -> bytes:
    """Return the metrics as text; `shared` is None while Redis doesn't answer."""
    return expose([*_own(readings), *_shared(shared)])


def expose(families: Sequence[Metric]) -> bytes:
    """Return families of metrics as text."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    text: bytes = generate_latest(registry)
    return text


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _own(readings: Sequence[Reading]) -> Iterator[Metric]:
    yield _gauge(
        "rq_ses_build_info", "The version that runs; always 1.", {(version("rq-ses"),): 1}, ["version"]
    )
    outcomes: dict[tuple[str, ...], float] = {}
    settled: dict[tuple[str, ...], float] = {}
    for reading in readings:
        for key, count in reading.outcomes.items():
            outcomes[key] = outcomes.get(key, 0.0) + count
        for action, count in reading.settled.items():
            settled[(action,)] = settled.get((action,), 0.0) + count
    # An alert on a rate needs a series that was there before the first failure.
    for outcome in ("rate_limited", "terminal", "transient"):
        outcomes.setdefault((outcome, "other"), 0.0)
    outcomes.setdefault(("sent", ""), 0.0)
    text = "Attempts, by how SES answered."
    yield _counter("rq_ses_outcomes", text, outcomes, ["outcome", "code"])
    yield _counter("rq_ses_settled", "Executions, by what became of their mail.", settled, ["action"])
    for name, (histogram, text) in HISTOGRAMS.items():
        yield _histogram(name, text, histogram, readings)
    in_flight = sum(reading.in_flight for reading in readings)
    unsettled = sum(reading.unsettled for reading in readings)
    yield _gauge("rq_ses_in_flight", "Mails that are being sent.", {(): in_flight})
    yield _gauge("rq_ses_unsettled", "Mails whose attempt has ended and isn't written yet.", {(): unsettled})


def _shared(shared: SharedState | None) -> Iterator[Metric]:
    yield _gauge("rq_ses_redis_up", "Whether Redis answered this reading.", {(): int(shared is not None)})
    if shared is not None:
        yield from _queues(shared.queues)
        if shared.gate is not None:
            yield from _gate(shared.gate)
        yield from _hooks(shared.hooks)
        yield _feedback(shared.feedback)


def _queues(queues: Sequence[QueueState]) -> Iterator[Metric]:
    depths: dict[tuple[str, ...], float | None] = {}
    for queue in queues:
        depths[(queue.name, states.QUEUED)] = queue.queued
        depths[(queue.name, states.STARTED)] = queue.started
        depths[(queue.name, states.SCHEDULED)] = queue.scheduled
        depths[(queue.name, states.FAILED)] = queue.failed
    oldest: dict[tuple[str, ...], float | None] = {(queue.name,): queue.oldest for queue in queues}
    yield _gauge("rq_ses_queue_jobs", "Mails in Redis, by queue and state.", depths, ["queue", "state"])
    yield _gauge("rq_ses_queue_oldest_seconds", "Age of the oldest queued mail; 0: none.", oldest, ["queue"])


def _gate(gate: GateState) -> Iterator[Metric]:
    rates: dict[tuple[str, ...], float | None] = {("limit",): gate.rate, ("ceiling",): gate.max_send_rate}
    text = "Recipients a second: what may be sent now, and what SES or the settings allow."
    yield _gauge("rq_ses_send_rate", text, rates, ["kind"])
    yield _gauge("rq_ses_day_remaining", "Recipients left of the day's quota.", {(): gate.quota_left})
    names = {"closed": "closed", "open": "open", "half_open": "half-open"}
    breaker: dict[tuple[str, ...], float | None] = {
        (label,): int(gate.breaker == state) for label, state in names.items()
    }
    yield _gauge("rq_ses_breaker_state", "1 for the state the account's breaker is in.", breaker, ["state"])


def _hooks(hooks: Sequence[Backlog]) -> Iterator[Metric]:
    waiting: dict[tuple[str, ...], float | None] = {(one.group,): one.waiting for one in hooks}
    oldest: dict[tuple[str, ...], float | None] = {(one.group,): one.oldest or 0.0 for one in hooks}
    yield _gauge("rq_ses_hooks_backlog", "Outcomes that a hook has yet to be told.", waiting, ["group"])
    yield _gauge("rq_ses_hooks_oldest_seconds", "Age of the oldest of them; 0: none.", oldest, ["group"])


def _feedback(counts: Mapping[str, int]) -> Metric:
    """Return the counters of SES's events; those with an alert are there before the first one comes."""
    kinds = dict.fromkeys(ALERTED, 0) | dict(counts)
    text = "Events that SES has told of mails, by kind."
    return _counter("rq_ses_feedback_events", text, {(kind,): n for kind, n in kinds.items()}, ["kind"])


def _gauge(name: str, text: str, values: Any, labels: Sequence[str] = ()) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        if value is not None:
            family.add_metric(key, value)
    return family


def _counter(name: str, text: str, values: Any, labels: Sequence[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, histogram: Histogram, readings: Sequence[Reading]) -> Metric:
    *counts, total = (
        sum(column) for column in zip(*(r.histograms[histogram] for r in readings), strict=True)
    )
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    family = HistogramMetricFamily(name, text)
    family.add_metric([], list(zip(bounds, accumulate(counts), strict=True)), total)
    return family
