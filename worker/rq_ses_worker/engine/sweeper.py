"""The thread that sweeps a worker's queues, and ends what RQ's own workers have left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses.keys import keys_of
from rq_ses.text.plaintext import one_line
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.campaigns.sweep import CampaignSweep
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.engine.threads.vital import VitalThreads
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import raise_if_denied

log = logging.getLogger(__name__)

PERIOD: Final = 60.0
"""Seconds between two sweeps."""


class Sweeper:
    """Sweeps a worker's queues in a thread of its own, at its start and every minute, one worker at a time.

    Args:
        connection: any client.
        queues: names.
        closing: set when the worker ends.
        threads: watches over its thread.
        policy: what becomes of a mail that a worker of RQ's own began and never ended.
    """

    def __init__(
        self,
        connection: Redis,
        queues: Sequence[str],
        closing: threading.Event,
        threads: VitalThreads | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._connection: Any = connection
        self._sweeps = {queue: Sweep(connection, queue) for queue in queues}
        self._campaigns = CampaignSweep(connection)
        self._lock = keys_of(connection).sweep(queues)
        self._closing = closing
        self._policy = policy or RetryPolicy()
        self._thread = (threads or VitalThreads()).thread("sweeper", self._work)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended, but no longer than a moment: its server may hang."""
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self.sweep()
            except RedisError as exc:
                raise_if_denied(exc)  # the heartbeat tells of all else
            except Exception as exc:  # noqa: BLE001 - the next one may go well
                events.SWEEP_FAILED.log(log, trace=True, error=type(exc).__name__)
            self._closing.wait(PERIOD)

    def sweep(self) -> None:
        """Sweep, if no other worker of these queues has in the last minute. Raises RedisError."""
        if not self._connection.set(self._lock, "", nx=True, px=int(PERIOD * 900)):
            return
        for queue, sweep in self._sweeps.items():
            kept = sweep.run(self._closing.wait)
            if kept:
                events.MAILS_KEPT.log(log, mails=kept, queue=queue)
        for queue in self._sweeps:
            self._end_abandoned(queue)
        self._forget_campaigns()

    def _forget_campaigns(self) -> None:
        try:
            forgotten = self._campaigns.run(self._closing.wait)
        except ResponseError as exc:
            # A right that only this needs: what has ended is kept for longer.
            events.SWEEP_FAILED.log(log, error=one_line(str(exc), 300))
            return
        if forgotten:
            events.CAMPAIGNS_FORGOTTEN.log(log, campaigns=forgotten)

    def _end_abandoned(self, queue: str) -> None:
        """Do for a mail whose stock worker is lost what only another stock worker would do."""
        try:
            for report in Audit(self._connection, queue, self._policy).abandoned():
                events.MAIL_ABANDONED.log(log, job_id=report.job_id, found=report.found, done=report.done)
        except ResponseError as exc:
            # A right that only this needs, a key of another type: no reason to stop sending.
            events.SWEEP_FAILED.log(log, error=one_line(str(exc), 300))
