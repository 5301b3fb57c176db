"""The thread that writes outcomes: in batches, and for as long as Redis is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Final

from redis.exceptions import RedisError

from rq_ses.address import bare
from rq_ses.plaintext import one_line
from rq_ses_worker import events
from rq_ses_worker.leases import Leases
from rq_ses_worker.lifecycle import Lifecycle, Settlement, Word
from rq_ses_worker.logs import SENT_LOGGER
from rq_ses_worker.outage import Outage
from rq_ses_worker.outcome import Sent
from rq_ses_worker.tally import Tally

log = logging.getLogger(__name__)
sent_log = logging.getLogger(SENT_LOGGER)

GATHER: Final = 0.002
"""Seconds for which the first outcome of a batch waits for others, and again while these are few."""

PATIENCE: Final = 3
"""Times it waits for them at most."""

BATCH: Final = 256
_PAUSE = 0.25


class Settler:
    """Settles what `put` is given; nothing is dropped while the process lives.

    Args:
        lifecycle: used by this thread alone.
        leases: an execution leaves it once it is settled.
        settled: called after each batch.
        tally: counts attempts and what was written.
        queues: names, for the log, in the order of the leases' places.
        several: outcomes that are worth a batch of their own.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        leases: Leases,
        *,
        settled: Callable[[], None] = lambda: None,
        tally: Tally | None = None,
        queues: Sequence[str] = (),
        several: int = 1,
    ) -> None:
        self._lifecycle = lifecycle
        self._leases = leases
        self._settled = settled
        self._tally = tally
        self._queues = queues
        self._several = several
        self._waiting: SimpleQueue[Settlement | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="settler", daemon=True)
        self._cut = threading.Event()

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

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
                if self._tally:
                    self._tally.attempted(batch)
                self._write(batch)

    def _gather(self) -> tuple[list[Settlement], bool]:
        first = self._waiting.get()
        if first is None:
            return [], True
        batch = [first]
        for _ in range(PATIENCE):
            time.sleep(GATHER)
            if self._waiting.qsize() >= self._several:
                break
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
            except Exception:  # noqa: BLE001 - a defect of ours must not keep the others from being settled
                events.OUTCOMES_UNWRITABLE.log(log, trace=True, outcomes=len(batch))
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
            if self._tally:
                self._tally.settled(batch, words)
            for settlement, word in zip(batch, words, strict=True):
                self._leases.drop(settlement.lease)
                self._tell(settlement, word)
            self._settled()
            return

    def _tell(self, settlement: Settlement, word: Word) -> None:
        job_id, action = settlement.lease.job_id, settlement.action
        if word != "done":
            about = self._about(settlement)
            events.MAIL_CONTESTED.log(
                log,
                job_id=job_id,
                action=action,
                why=_MEANING[word],
                word=word,
                **about,
                **_message_id(settlement),
            )
        elif action == "sent":
            # Thousands a second: what nobody reads must cost nothing.
            if sent_log.isEnabledFor(events.MAIL_SENT.level):
                events.MAIL_SENT.log(
                    sent_log, job_id=job_id, **_message_id(settlement), **self._about(settlement)
                )
        elif action == "back":
            events.MAIL_BACK.log(log, job_id=job_id, queue=self._queue(settlement))
        elif action == "retry":
            delay = settlement.fields["delay"]
            answer = _answer(settlement)
            events.MAIL_RETRIED.log(
                log, job_id=job_id, delay=delay, error=_cause(settlement), **self._about(settlement), **answer
            )
        else:
            error, _, hint = settlement.fields.get("exc", "").partition("\nHint: ")
            answer = _answer(settlement)
            events.MAIL_FAILED.log(
                log, job_id=job_id, error=error, hint=hint, **self._about(settlement), **answer
            )

    def _queue(self, settlement: Settlement) -> str:
        place = settlement.lease.queue
        return self._queues[place] if place < len(self._queues) else ""

    def _about(self, settlement: Settlement) -> dict[str, Any]:
        to = [bare(recipient) for recipient in settlement.to]
        return {
            "queue": self._queue(settlement),
            "attempt": settlement.meta.get("attempts"),
            "to": to[0] + f" (+{len(to) - 1})" * (len(to) > 1) if to else None,
        }


_MEANING: Final = {
    "late": "its lease had run out before; it is not sent again",
    "lost": "it was settled before, or another worker has the job; nothing was written",
    "canceled": "it was canceled while it was being sent; it stays canceled",
    "accepted": "it was canceled while it was being sent, and SES has it: it stands as finished",
    "vanished": "its job was deleted while it was being sent",
    "broken": "one of its keys in Redis is not of RQ's type",
}


def _cause(settlement: Settlement) -> str:
    last = settlement.meta.get("last_outcome", {})
    return f"{last.get('code') or 'HTTP ' + str(last.get('status'))}: {last.get('message', '')}"


def _answer(settlement: Settlement) -> dict[str, Any]:
    last = settlement.meta.get("last_outcome", {})
    return {name: last.get(name) for name in ("outcome", "code", "status", "request_id")}


def _message_id(settlement: Settlement) -> dict[str, Any]:
    outcome = settlement.outcome
    message_id = outcome.message_id if isinstance(outcome, Sent) else None
    return {"message_id": message_id and one_line(message_id, 120)}
