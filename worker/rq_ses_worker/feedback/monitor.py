"""What `rq-ses feedback` serves to monitoring: /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from rq_ses.feedback.store import Store
from rq_ses_worker.feedback.counts import Counts
from rq_ses_worker.monitoring.listening import Listening
from rq_ses_worker.monitoring.pages import Page, Pages, bounded, verdict

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class FeedbackMonitor(Pages):
    """Serves what is counted, and whether events can be stored. Raises SettingsError if it can't listen.

    Args:
        listening: where.
        counts: of the threads that take messages.
        store: must answer.
    """

    def __init__(self, listening: Listening, counts: Counts, store: Store) -> None:
        self._counts = counts
        self._store = store
        pages = {
            "/metrics": bounded(self._metrics),
            "/healthz": lambda: verdict([]),
            "/readyz": bounded(self._readyz),
        }
        super().__init__(listening, pages)

    def _metrics(self) -> Page:
        # Here, so that without metrics prometheus_client isn't carried.
        from rq_ses_worker.monitoring.metrics import CONTENT_TYPE, expose

        return 200, CONTENT_TYPE, expose(list(self._families()))

    def _families(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        messages = CounterMetricFamily(
            "rq_ses_feedback_messages", "Messages of SNS, by what became of them.", labels=["result"]
        )
        for word, count in self._counts.messages.items():
            messages.add_metric([word], count)
        yield messages
        text = "Messages that were left in their queue, for nobody can read them."
        yield CounterMetricFamily("rq_ses_feedback_left", text, self._counts.left)
        text = "Whether the queue of SQS can be read."
        yield GaugeMetricFamily("rq_ses_feedback_queue_up", text, int(not self._counts.away))
        yield GaugeMetricFamily(
            "rq_ses_redis_up", "Whether Redis answered this reading.", int(not self._troubles())
        )

    def _readyz(self) -> Page:
        away = ["the queue can't be read"] if self._counts.away else []
        return verdict([*self._troubles(), *away])

    def _troubles(self) -> Sequence[str]:
        try:
            self._store.check()
        except (RedisError, OSError):
            return ["Redis does not answer"]
        return []
