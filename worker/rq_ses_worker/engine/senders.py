"""The threads that send: each takes a claimed job, makes one attempt, and hands on how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from rq_ses.message.message import Message
from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.scope import scope
from rq_ses_worker.engine.threads.shift import Shift
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import Again, History, RetryPolicy, decide, doubt_used_up, expired
from rq_ses_worker.lifecycle.task import JobRefused, read_job
from rq_ses_worker.logging import events
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient, hinted, is_hearsay

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
    attempted: bool = False,
    to: Sequence[str] = (),
) -> Settlement:
    """Return what is to be written after an attempt that took `seconds`; `history` counts it already.

    With `attempted`, SES was asked: its outcome tells of the account, too.
    """
    meta = history.to_meta(outcome)
    action: Literal["sent", "retry", "failed"]
    if isinstance(outcome, Sent):
        action, fields = "sent", sent_fields(result_of(outcome))
    else:
        decision = decide(outcome, history, policy, ended=ended.timestamp(), expires=expires)
        if isinstance(decision, Again):
            action, fields = "retry", {"delay": decision.delay}
        else:
            action, fields = "failed", failed_fields(hinted(decision.line, outcome))
    return Settlement(
        lease,
        action,
        ended,
        meta,
        fields,
        ended_clock,
        seconds=seconds,
        outcome=outcome if attempted else None,
        to=to,
    )


def probed(ending: Settlement, history: History, policy: RetryPolicy, expires: float | None) -> Settlement:
    """Return the ending of a probe: one that failed through no fault of its mail puts it back as it was.

    Such an attempt doesn't count: `history` is that before it. What SES may have accepted counts like any
    attempt, so does a failure that isn't SES's own word, and a mail whose time is over ends.
    """
    outcome = ending.outcome
    if outcome is None or outcome.ambiguous or isinstance(outcome, Sent) or scope(outcome) == "healthy":
        return ending
    if is_hearsay(outcome):
        return ending
    blamed: RateLimited | Transient
    if isinstance(outcome, Terminal):
        blamed = Transient(outcome.status, outcome.code, outcome.message, outcome.request_id)
    else:
        blamed = outcome
    decision = decide(blamed, history, policy, ended=ending.ended.timestamp(), expires=expires)
    if isinstance(decision, Again):
        return replace(ending, action="back", meta={}, fields=_as_it_was(ending.lease))
    line = hinted(decision.line, outcome)
    return replace(ending, action="failed", meta=history.to_meta(outcome), fields=failed_fields(line))


def unsent(lease: Lease) -> Settlement:
    """Return what puts a mail that nobody has begun to send to the front of its queue, as it was."""
    # Nothing of it but the place is written, so the moment doesn't matter.
    return Settlement(lease, "back", datetime.now(UTC), {}, _as_it_was(lease))


def _as_it_was(lease: Lease) -> dict[str, int]:
    return {"fresh": int(lease.execution.endswith("1"))}


def result_of(outcome: Sent) -> dict[str, str | None]:
    """Return what RQ shows as the job's result."""
    message_id = outcome.message_id
    return {"message_id": None if message_id is None else one_line(message_id, 120)}


class Senders:
    """A fixed number of threads, each making one attempt at a time.

    Args:
        count: threads.
        client: shared by all of them.
        policy: what becomes of a mail that wasn't sent.
        shift: its leases are checked before each attempt (a mail whose lease may have run out is left to
            others), its brake, and its clock; woken whenever a thread has become idle, and nothing is ready.
        settle: takes each attempt's settlement.
    """

    def __init__(
        self,
        count: int,
        client: Client,
        policy: RetryPolicy,
        shift: Shift,
        *,
        settle: Callable[[Settlement], None],
    ) -> None:
        self.count = count
        self._client = client
        self._policy = policy
        self._shift = shift
        self._settle = settle
        self._claims: SimpleQueue[Claim | None] = SimpleQueue()
        self.ended_at = 0.0
        """Moment (time.monotonic()) at which a thread became free last."""
        self._submitted = 0
        self._ended = 0
        self._ending = threading.Lock()
        self._threads = [shift.parts.thread(f"sender-{n}", self._work) for n in range(count)]

    @property
    def busy(self) -> int:
        """Number of claims whose attempt hasn't ended."""
        return self._submitted - self._ended

    @property
    def idle(self) -> int:
        """Number of threads that have nothing to send; negative if more was submitted than there are."""
        return self.count - self.busy

    @property
    def running(self) -> bool:
        """Whether all of its threads live."""
        return all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, claim: Claim) -> None:
        """Hand a claim to an idle thread, or to the next that becomes idle. One thread alone submits."""
        self._submitted += 1
        self._claims.put(claim)

    def stop(self) -> None:
        """Let every thread end after what it is sending; what none has begun goes back to its queue."""
        ready = []
        with suppress(Empty):
            while claim := self._claims.get_nowait():
                ready.append(claim)
        # Each goes to the front of its queue.
        for claim in reversed(ready):
            self._end(replace(unsent(claim.lease), probe=claim.probe))
        for _ in self._threads:
            self._claims.put(None)

    def join(self) -> None:
        """Wait until every thread has ended: each ends within the client's time-out."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (claim := self._claims.get()) is not None:
            try:
                settled = self._attempt(claim)
            except Exception as exc:  # noqa: BLE001 - a defect must neither lose the mail nor stop the thread
                events.MAIL_RAISED.log(log, trace=True, job_id=claim.lease.job_id, step="its attempt")
                settled = self._defect(claim, exc)
            if claim.probe:
                settled = replace(settled, probe=True)
            self._end(settled)
            if self.idle > 0:
                self._shift.wake.set()

    def _end(self, settled: Settlement) -> None:
        self.ended_at = time.monotonic()
        with self._ending:
            self._ended += 1
        self._settle(settled)

    def _attempt(self, claim: Claim) -> Settlement:
        """Make one attempt, or give the mail back if somebody else may be at it."""
        began = time.monotonic()
        history = History.from_meta(claim.meta, fresh=claim.fresh)
        policy, expires, attempted = self._policy, None, False
        to: Sequence[str] = ()
        before = history
        outcome: Outcome
        try:
            task = read_job(claim.data, hooked=claim.hooked)
        except JobRefused as exc:
            outcome = Terminal(status=None, code=exc.code, message=exc.reason)
        else:
            policy, expires = policy.for_mail(task.on_unknown), task.expires
            to = task.message.to
            if expires is not None and self._shift.clock.now() >= expires:
                outcome = expired()
            elif history.room(policy) <= 0:
                outcome = doubt_used_up(history)
            elif not claim.probe and self._held():
                return unsent(claim.lease)
            elif not self._shift.leases.stands(claim.lease, time.monotonic()):
                events.MAIL_DOUBTED.log(log, job_id=claim.lease.job_id)
                return unsent(claim.lease)
            else:
                outcome = self._send(task.message, claim.lease.job_id)
                attempted = True
                self._shift.brake.ended(outcome, probe=claim.probe)
                history = history.after(outcome, self._shift.clock.now())
        ended_clock = time.monotonic()
        ending = settlement(
            claim.lease,
            outcome,
            history,
            policy,
            ended=self._now(),
            ended_clock=ended_clock,
            expires=expires,
            seconds=ended_clock - began,
            attempted=attempted,
            to=to,
        )
        return probed(ending, before, policy, expires) if claim.probe else ending

    def _held(self) -> bool:
        """Tell whether what was claimed a moment ago had better not be begun."""
        brake = self._shift.brake
        others = min(self.busy, self.count) - 1
        return time.monotonic() < brake.held_until or brake.room(others) < 1

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._shift.clock.now(), UTC)

    def _send(self, message: Message, job_id: str) -> Outcome:
        try:
            return self._client.send(message)
        except Exception as exc:  # noqa: BLE001 - the attempt counts, and its history stays
            events.MAIL_RAISED.log(log, trace=True, job_id=job_id, step="sending")
            return _internal_error(exc)

    def _defect(self, claim: Claim, exc: Exception) -> Settlement:
        outcome, ended = _internal_error(exc), self._now()
        history = History.from_meta(claim.meta, fresh=claim.fresh).after(outcome, ended.timestamp())
        return settlement(claim.lease, outcome, history, self._policy, ended=ended, ended_clock=0.0)


def _internal_error(exc: Exception) -> Terminal:
    return Terminal(
        status=None,
        code="InternalError",
        message=f"{type(exc).__name__} while sending (see the worker's log)",
        ambiguous=True,
    )
