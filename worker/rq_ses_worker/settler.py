"""The thread that writes outcomes: in batches, and for as long as Redis is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final

from redis.exceptions import RedisError

from rq_ses_worker.leases import Leases
from rq_ses_worker.lifecycle import Lifecycle, Settlement, Word
from rq_ses_worker.outage import Outage

log = logging.getLogger(__name__)

GATHER: Final = 0.002
"""Seconds for which the first outcome of a batch waits for others."""

BATCH: Final = 256
_PAUSE = 0.25


class Settler:
    """Settles what `put` is given; nothing is dropped while the process lives.

    Args:
        lifecycle: used by this thread alone.
        leases: an execution leaves it once it is settled.
        settled: called after each batch.
    """

    def __init__(
        self, lifecycle: Lifecycle, leases: Leases, *, settled: Callable[[], None] = lambda: None
    ) -> None:
        self._lifecycle = lifecycle
        self._leases = leases
        self._settled = settled
        self._waiting: SimpleQueue[Settlement | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="settler", daemon=True)
        self._cut = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def put(self, settlement: Settlement) -> None:
        """Take a settlement; it is written within a few milliseconds, or as soon as Redis is back."""
        self._waiting.put(settlement)

    def stop(self, timeout: float) -> bool:
        """Settle what is waiting, for at most `timeout` seconds; tell whether all of it was written."""
        self._waiting.put(None)
        self._thread.join(timeout)
        self._cut.set()
        return not self._thread.is_alive()

    def _work(self) -> None:
        last = False
        while not last:
            batch, last = self._gather()
            if batch:
                self._write(batch)

    def _gather(self) -> tuple[list[Settlement], bool]:
        first = self._waiting.get()
        if first is None:
            return [], True
        batch = [first]
        time.sleep(GATHER)
        while len(batch) < BATCH:
            try:
                settlement = self._waiting.get_nowait()
            except Empty:
                break
            if settlement is None:
                return batch, True
            batch.append(settlement)
        return batch, False

    def _write(self, batch: list[Settlement]) -> None:
        outage = Outage(log, f"{len(batch)} outcomes wait to be settled")
        while not self._cut.is_set():
            clock = time.monotonic()
            try:
                words = self._lifecycle.settle(batch, clock=clock)
            except RedisError as exc:
                outage.failed(exc)
                self._cut.wait(_PAUSE)
                continue
            except Exception:  # a defect of ours must not keep the others from being settled
                log.exception("%d outcomes can't be written as they are", len(batch))
                if len(batch) > 1:
                    for settlement in batch:
                        self._write([settlement])
                elif batch[0].meta.keys() - {"attempts"}:
                    # What users and others put into meta is the one part that isn't ours.
                    self._write([replace(batch[0], meta={"attempts": batch[0].meta.get("attempts", 0)})])
                else:
                    self._leases.drop(batch[0].lease)
                    self._settled()
                return
            outage.over()
            for settlement, word in zip(batch, words, strict=True):
                self._leases.drop(settlement.lease)
                self._tell(settlement, word)
            self._settled()
            return

    def _tell(self, settlement: Settlement, word: Word) -> None:
        job_id, action = settlement.lease.job_id, settlement.action
        if word != "done":
            log.warning("job %s: %s, but %s", job_id, action, _MEANING[word])
        elif action == "sent":
            log.debug("job %s: sent", job_id)
        elif action == "back":
            log.info("job %s: back in its queue", job_id)
        elif action == "retry":
            log.info("job %s: again in %g s: %s", job_id, settlement.fields["delay"], _cause(settlement))
        else:
            log.warning("job %s: %s: %s", job_id, action, settlement.fields.get("exc", ""))


_MEANING: Final = {
    "late": "its lease had run out before; it is not sent again",
    "lost": "it was settled before, or another worker has the job; nothing was written",
    "canceled": "it was canceled while it was being sent; it stays canceled",
    "vanished": "its job was deleted while it was being sent",
    "broken": "one of its keys in Redis is not of RQ's type",
}


def _cause(settlement: Settlement) -> str:
    last = settlement.meta.get("last_outcome", {})
    return f"{last.get('code') or 'HTTP ' + str(last.get('status'))}: {last.get('message', '')}"
