"""The heartbeat: renews what the worker holds, and keeps it among RQ's workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from rq_ses_worker.engine.registration import RegisteredWorker
from rq_ses_worker.engine.rqworkers import BUSY, IDLE, SUSPENDED
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.outage import Outage, out_of_memory
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import raise_if_denied

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger(__name__)

LONGEST_PERIOD: Final = 10.0
"""Seconds between two beats at most; with short leases a third of their length."""

AGAIN: Final = 0.25
"""Seconds until the next beat after one that failed."""


class Heartbeat:
    """A thread that beats until the worker ends, or one of its vital threads has died.

    Args:
        worker: is kept among RQ's.
        lifecycle: renews leases.
        shared: has the leases that are held.
        senders: a beat is told while all of their threads live.
        settler: and while its thread lives.
        tally: is told of each beat, for whoever asks for this process's health.
    """

    def __init__(
        self,
        worker: RegisteredWorker,
        lifecycle: Lifecycle,
        shared: Shared,
        senders: Senders,
        settler: Settler,
        tally: Tally | None = None,
    ) -> None:
        self._worker = worker
        self._lifecycle = lifecycle
        self._shared = shared
        self._leases = shared.leases
        self._senders = senders
        self._settler = settler
        self._tally = tally
        self._thread = shared.threads.thread("heartbeat", self._work)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _work(self) -> None:
        unrenewed = Outage(log, "leases can't be renewed meanwhile", self._shared.trouble)
        # What is for show has an outage of its own: a server without memory refuses it, and renews leases.
        unseen = Outage(log, "RQ's tools may not show this worker meanwhile")
        period = min(LONGEST_PERIOD, self._leases.length / 3)
        pause = 0.0
        while not self._shared.closing.wait(pause):
            if not self._shared.threads.all_live:
                return  # what it held shall move to others
            if self._tally and self._senders.running and self._settler.running:
                self._tally.beat()
            done = self._tried(self._renew, unrenewed) and self._tried(self._show, unseen)
            pause = period if done else min(period, AGAIN)

    def _tried(self, step: Callable[[], None], outage: Outage) -> bool:
        """Tell whether Redis did a step of the heartbeat."""
        try:
            step()
        except RedisError as exc:
            raise_if_denied(exc)
            self._worker.spare_descriptors()
            outage.failed(exc)
            if not out_of_memory(exc):
                self._shared.trouble.note(exc)
            return False
        except Exception:  # noqa: BLE001 - leases must be renewed whatever else stands in Redis
            events.WORKER_HEARTBEAT_FAILED.log(log, trace=True)
        else:
            outage.over()
        return True

    def _renew(self) -> None:
        clock = time.monotonic()
        if held := self._leases.held():
            self._leases.extend(self._lifecycle.renew(held), clock)

    def _show(self) -> None:
        state = BUSY if self._leases.held() else IDLE
        self._worker.show(SUSPENDED if self._shared.suspended else state)
