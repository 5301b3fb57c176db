"""The threads that send: each takes a claimed job, makes one attempt, and hands on how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Literal, Protocol

from rq_ses.message import Message
from rq_ses_worker.leases import Leases
from rq_ses_worker.lifecycle import Claim, Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.outcome import Outcome, Sent, Terminal
from rq_ses_worker.retry import Again, History, RetryPolicy, decide, expired
from rq_ses_worker.task import JobRefused, read_job

log = logging.getLogger(__name__)


class Client(Protocol):
    """What sends a message and tells how SES answered: SesClient, or a stand-in of a test."""

    def send(self, message: Message) -> Outcome: ...


def settlement(
    lease: Lease,
    outcome: Outcome,
    history: History,
    policy: RetryPolicy,
    *,
    ended: datetime,
    ended_clock: float,
    expires: float | None = None,
    seconds: float = 0.0,
) -> Settlement:
    """Return what is to be written after an attempt that took `seconds`; `history` counts it already."""
    meta = history.to_meta(outcome)
    action: Literal["sent", "retry", "failed"]
    if isinstance(outcome, Sent):
        action, fields = "sent", sent_fields(result_of(outcome))
    else:
        decision = decide(outcome, history, policy, ended=ended.timestamp(), expires=expires)
        if isinstance(decision, Again):
            action, fields = "retry", {"delay": decision.delay}
        else:
            action, fields = "failed", failed_fields(decision.line)
    return Settlement(lease, action, ended, meta, fields, ended_clock, seconds=seconds)


def result_of(outcome: Sent) -> dict[str, str | None]:
    """Return what RQ shows as the job's result."""
    return {"message_id": outcome.message_id}


class Senders:
    """A fixed number of threads, each making one attempt at a time.

    Args:
        count: threads.
        client: shared by all of them.
        policy: what becomes of a mail that wasn't sent.
        leases: checked before each attempt: a mail whose lease may have run out is left to others.
        settle: takes each attempt's settlement.
        freed: called whenever a thread has become idle.
    """

    def __init__(
        self,
        count: int,
        client: Client,
        policy: RetryPolicy,
        leases: Leases,
        *,
        settle: Callable[[Settlement], None],
        freed: Callable[[], None],
    ) -> None:
        self.count = count
        self._client = client
        self._policy = policy
        self._leases = leases
        self._settle = settle
        self._freed = freed
        self._claims: SimpleQueue[Claim | None] = SimpleQueue()
        self._submitted = 0
        self._ended = 0
        self._ending = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"sender-{n}", daemon=True) for n in range(count)
        ]

    @property
    def busy(self) -> int:
        """Number of claims whose attempt hasn't ended."""
        return self._submitted - self._ended

    @property
    def idle(self) -> int:
        """Number of threads that have nothing to send; negative if more was submitted than there are."""
        return self.count - self.busy

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, claim: Claim) -> None:
        """Hand a claim to an idle thread, or to the next that becomes idle. One thread alone submits."""
        self._submitted += 1
        self._claims.put(claim)

    def stop(self) -> None:
        """Let every thread end after what it is sending."""
        for _ in self._threads:
            self._claims.put(None)

    def join(self) -> None:
        """Wait until every thread has ended: each ends within the client's time-out."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (claim := self._claims.get()) is not None:
            settled = self._attempt(claim)
            with self._ending:
                self._ended += 1
            if settled is None:
                self._leases.drop(claim.lease)
            else:
                self._settle(settled)
            self._freed()

    def _attempt(self, claim: Claim) -> Settlement | None:
        """Make one attempt; None if the lease may have run out, so that somebody else may be at it."""
        began = time.monotonic()
        history = History.from_meta(claim.meta, fresh=claim.fresh)
        expires = None
        outcome: Outcome
        try:
            task = read_job(claim.data, hooked=claim.hooked)
        except JobRefused as exc:
            outcome = Terminal(status=None, code=exc.code, message=exc.reason)
        else:
            expires = task.expires
            if expires is not None and time.time() >= expires:
                outcome = expired()
            elif not self._leases.stands(claim.lease, began):
                log.warning(
                    "job %s: its lease may have run out before it was sent; left to reclaim",
                    claim.lease.job_id,
                )
                return None
            else:
                outcome = self._send(task.message, claim.lease.job_id)
                history = history.after(outcome, time.time())
        ended_clock = time.monotonic()
        return settlement(
            claim.lease,
            outcome,
            history,
            self._policy,
            ended=datetime.now(UTC),
            ended_clock=ended_clock,
            expires=expires,
            seconds=ended_clock - began,
        )

    def _send(self, message: Message, job_id: str) -> Outcome:
        try:
            return self._client.send(message)
        except Exception as exc:  # a defect of ours must neither lose the mail nor stop the thread
            log.exception("job %s: sending raised", job_id)
            return Terminal(
                status=None,
                code="InternalError",
                message=f"{type(exc).__name__} while sending (see the worker's log)",
                ambiguous=True,
            )
