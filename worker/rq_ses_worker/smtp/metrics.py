"""The metrics of the ingress in Prometheus's form.

Import it where they are shown, not before: prometheus_client takes memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from itertools import accumulate
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from rq_ses_worker.monitoring.metrics import expose
from rq_ses_worker.smtp.counts import BOUNDS, Counts

CONTENT_TYPE: Final[str] = CONTENT_TYPE_LATEST


def render(counts: Counts, *, redis_up: bool) -> bytes:
    """Return the metrics as text."""
    return expose(list(_families(counts, redis_up=redis_up)))


def _families(counts: Counts, *, redis_up: bool) -> Iterator[Metric]:
    info = GaugeMetricFamily("rq_ses_build_info", "The version that runs; always 1.", labels=["version"])
    info.add_metric([version("rq-ses")], 1)
    yield info
    mails = CounterMetricFamily("rq_ses_smtp_mails", "Mails that were answered with 250.", labels=["kind"])
    mails.add_metric(["new"], counts.taken - counts.repeated)
    mails.add_metric(["repeated"], counts.repeated)
    yield mails
    refusals = CounterMetricFamily(
        "rq_ses_smtp_refusals", "Commands, mails and clients that were refused.", labels=["reason"]
    )
    for reason, count in counts.refused.items():
        refusals.add_metric([reason], count)
    yield refusals
    yield CounterMetricFamily("rq_ses_smtp_recipients", "Recipients of mails taken.", counts.recipients)
    yield CounterMetricFamily("rq_ses_smtp_logins", "Clients that have logged in.", counts.logins)
    yield GaugeMetricFamily("rq_ses_smtp_connections", "Clients that are connected.", counts.connections)
    text = "From a mail's end to its being in Redis."
    seconds = HistogramMetricFamily("rq_ses_smtp_enqueue_seconds", text)
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    seconds.add_metric([], list(zip(bounds, accumulate(counts.buckets), strict=True)), counts.seconds)
    yield seconds
    yield GaugeMetricFamily("rq_ses_redis_up", "Whether Redis answered this reading.", int(redis_up))
