"""What a worker serves over HTTP: /metrics, /healthz and /readyz, for Prometheus and for whoever runs it.

No secret and no address stands among the answers. /healthz asks nobody. It is served by a thread of a worker,
or, beside several worker processes, by a process of its own.
"""

from __future__ import annotations

import time
from typing import Any

from rq_ses_worker.monitoring.listening import Listening
from rq_ses_worker.monitoring.pages import Page, Pages, bounded, verdict
from rq_ses_worker.monitoring.shared import SharedReader
from rq_ses_worker.monitoring.tally import Board
from rq_ses_worker.monitoring.vitals import why_not_ready, why_unhealthy


class Monitor(Pages):
    """Serves what a board of tallies and Redis tell. Raises SettingsError if it can't listen there.

    Args:
        listening: where.
        board: the worker processes' tallies.
        shared: reads what stands in Redis.
    """

    def __init__(self, listening: Listening, board: Board, shared: SharedReader) -> None:
        self._board = board
        self._shared = shared
        pages = {
            "/metrics": bounded(self._metrics),
            "/healthz": self._healthz,
            "/readyz": bounded(self._readyz),
        }
        super().__init__(listening, pages)

    def _metrics(self) -> Page:
        # Here, so that a worker without metrics doesn't carry prometheus_client.
        from rq_ses_worker.monitoring.metrics import CONTENT_TYPE, render

        return 200, CONTENT_TYPE, render(self._readings(), self._shared.read())

    def _healthz(self) -> Page:
        return verdict(why_unhealthy(self._readings(), time.monotonic()))

    def _readyz(self) -> Page:
        shared = self._shared.read()
        answers = shared is not None
        gate = shared.gate if shared else None
        return verdict(why_not_ready(self._readings(), time.monotonic(), gate, redis_answers=answers))

    def _readings(self) -> list[Any]:
        return [tally.read() for tally in self._board.tallies]
