"""What the ingress serves over HTTP: /metrics, /healthz and /readyz."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses_worker.monitoring.listening import Listening
from rq_ses_worker.monitoring.pages import Page, Pages, bounded, verdict
from rq_ses_worker.monitoring.shared import TIMEOUT
from rq_ses_worker.monitoring.vitals import STALE
from rq_ses_worker.smtp.counts import Counts


class SmtpMonitor(Pages):
    """Serves what the ingress counts, and whether it can take mails. Raises SettingsError if it can't listen.

    Args:
        listening: where.
        counts: the ingress's.
        redis_url: of the server that must answer.
        prefixes: of the queue's partitions, "" for none.
    """

    def __init__(self, listening: Listening, counts: Counts, redis_url: str, prefixes: str) -> None:
        self._counts = counts
        self._redis = Partitions.at(
            Location(redis_url, None), prefixes, socket_timeout=TIMEOUT, connect_timeout=TIMEOUT
        )
        super().__init__(
            listening,
            {"/metrics": bounded(self._metrics), "/healthz": self._healthz, "/readyz": bounded(self._readyz)},
        )

    def _metrics(self) -> Page:
        # Here, so that an ingress without metrics doesn't carry prometheus_client.
        from rq_ses_worker.smtp.metrics import CONTENT_TYPE, render

        return 200, CONTENT_TYPE, render(self._counts, redis_up=self._answers())

    def _healthz(self) -> Page:
        return verdict(why_unhealthy(self._counts, time.monotonic()))

    def _readyz(self) -> Page:
        return verdict(why_not_ready(self._counts, time.monotonic(), redis_answers=self._answers()))

    def _answers(self) -> bool:
        try:
            return all(connection.ping() for connection in self._redis)
        except RedisError:
            return False


def why_unhealthy(counts: Counts, clock: float) -> list[str]:
    """Return what is wrong with the ingress, a line each; `clock`: time.monotonic() now."""
    late = clock - counts.pulse
    return [f"the ingress hangs: its loop has not gone round for {late:.0f} s"] if late > STALE else []


def why_not_ready(counts: Counts, clock: float, *, redis_answers: bool) -> list[str]:
    """Return why no mail can be taken, a line each."""
    found = why_unhealthy(counts, clock)
    if counts.stopping:
        found.append("stopping")
    elif not counts.ready:
        found.append("Redis has not been reached yet, or not been found fit (preflight)")
    if not redis_answers:
        found.append("Redis does not answer")
    return found
