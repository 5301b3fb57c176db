"""One attempt of one mail, from its claim to what is written of it; read this file from top to bottom.

    Claim        a job that this worker has started (lifecycle.records)
      │  read        its data, with suspicion
    Task         a message and the mail's own terms (lifecycle.task)
      │  Attempt.of  what was tried before, and by which policy this is judged
    Attempt
      │  send        unless it is barred, its recipients are suppressed, or it had better not be begun now
    Outcome      how SES answered (ses.outcome)
      │  judge       by the attempt's policy and history
    Decision     finished, again, failed, or back as it was
      │  settlement
    Settlement   what the settler writes (lifecycle.records)

`Attempts.make` is the walk; each step after it is pure. `rq_ses_worker.job.send` takes the same steps under a
stock `rq worker`. What is made for each mail is a NamedTuple here: a frozen dataclass takes four times as
long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from rq_ses.message.reading import AnyMessage
from rq_ses.server.serverclock import ServerClock
from rq_ses.suppression import Suppressed
from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.scope import scope
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.records import Action, Bulk, Claim, Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import (
    Again,
    Failed,
    History,
    RetryPolicy,
    decide,
    doubt_used_up,
    expired,
)
from rq_ses_worker.lifecycle.suppressed import allowed
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_job
from rq_ses_worker.logging import events
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient, hinted, is_unnamed_failure

if TYPE_CHECKING:
    from rq_ses.campaign.bulkjob import BulkJob

log = logging.getLogger(__name__)

_UNTRIED: Final = History()
"""Of a mail that nobody has tried: most are sent at their first attempt, and needn't have one made."""


class Client(Protocol):
    """What sends a message and tells how SES answered: SesClient, or a stand-in of a test."""

    def send(self, message: AnyMessage, job_id: str = "") -> Outcome: ...


class Bulks(Protocol):
    """What makes attempts of bulk jobs: engine.bulk."""

    def finish(self, claim: Claim) -> Settlement: ...
    def make(self, claim: Claim, task: Task, job: BulkJob, attempt: Attempt, began: float) -> Settlement: ...


class Attempts:
    """Makes attempts; threads may share it.

    Args:
        client: sends a message; called by many threads at once.
        policy: what becomes of a mail that wasn't sent, unless the mail has a wish of its own.
        shared: its leases are checked before each attempt (a mail whose lease may have run out is left to
            others), and its brake; its clock tells when a mail expires.
        underway: the attempts that are being made.
        bulk: what makes those of bulk jobs, when there is the first.
    """

    def __init__(
        self,
        client: Client,
        policy: RetryPolicy,
        shared: Shared,
        underway: Underway,
        bulk: Callable[[], Bulks] | None = None,
    ) -> None:
        self._client = client
        self._bulk = bulk
        self._policy = policy
        self._shared = shared
        self._underway = underway

    def make(self, claim: Claim) -> Settlement:
        """Make one attempt, or give the mail back if it had better not be begun now."""
        began = time.monotonic()
        if claim.unfinished and self._bulk:
            # However the job ends, what a split of it has left undone would be lost with it.
            return self._bulk().finish(claim)
        task = claim.task or read(claim)
        attempt = Attempt.of(claim, task, self._policy)
        outcome: Outcome
        asked = False
        if isinstance(task, Terminal):
            outcome = task
        elif barred := attempt.barred(self._shared.clock):
            outcome = barred
        elif task.bulk and self._bulk:
            if not self._may_begin(claim):
                return unsent(claim.lease, probe=claim.probe)
            return self._attempted(self._bulk(), claim, task, task.bulk, attempt, began)
        else:
            cleared = attempt.cleared(task.message, claim.suppressed)
            if isinstance(cleared, Terminal):
                outcome = cleared
            elif not self._may_begin(claim):
                return unsent(claim.lease, probe=claim.probe)
            else:
                message, attempt = cleared
                cut = task if message is task.message else task._replace(message=message)
                outcome, asked = self._send(cut, claim), True
        clock = time.monotonic()
        ending = attempt.ended(outcome, self._shared.clock.now(), clock, clock - began, asked=asked)
        decision = judge(attempt, ending)
        if attempt.dropped and isinstance(decision, Finished):
            dropped = ", ".join(attempt.dropped)
            events.MAIL_SUPPRESSED.log(log, job_id=claim.lease.job_id, suppressed=dropped)
        settled = settlement(claim.lease, attempt, ending, decision)
        return settled._replace(bulk=bulk_of(task)) if claim.granted and not asked else settled

    def _attempted(
        self, bulks: Bulks, claim: Claim, task: Task, job: BulkJob, attempt: Attempt, began: float
    ) -> Settlement:
        return bulks.make(claim, task, job, attempt, began)

    def break_off(self, claim: Claim, exc: Exception) -> Settlement:
        """Return what is written of an attempt that raised: it fails, for SES may have accepted the mail."""
        history = History.from_meta(claim.meta, fresh=claim.fresh)
        attempt = Attempt(history, self._policy, probe=claim.probe)
        ending = attempt.lost(internal_error(exc), self._shared.clock.now())
        return settlement(claim.lease, attempt, ending, judge(attempt, ending))

    def _may_begin(self, claim: Claim) -> bool:
        """Tell whether a mail that was claimed a moment ago may still be sent, and by nobody else."""
        clock, brake = time.monotonic(), self._shared.brake
        if not claim.probe and (clock < brake.held_until or brake.room(self._underway.others) < 1):
            return False
        if self._shared.leases.stands(claim.lease, clock):
            return True
        events.MAIL_DOUBTED.log(log, job_id=claim.lease.job_id)
        return False

    def _send(self, task: Task, claim: Claim) -> Outcome:
        try:
            outcome = self._client.send(task.message, claim.lease.job_id)
        except Exception as exc:  # noqa: BLE001 - the attempt counts, and its history stays
            events.MAIL_RAISED.log(log, trace=True, job_id=claim.lease.job_id, step="sending")
            outcome = internal_error(exc)
        self._shared.brake.ended(outcome, probe=claim.probe)
        return outcome


# Claim → Task


def read(claim: Claim) -> Task | Terminal:
    """Return a claim's task, or the outcome of a job that can't be read as one."""
    try:
        return read_job(claim.data, hooked=claim.hooked)
    except JobRefused as exc:
        return Terminal(status=None, code=exc.code, message=exc.reason)


def bulk_of(task: Task | Terminal) -> Bulk | None:
    """Return what a settlement says of a bulk job that nobody has asked SES for."""
    if isinstance(task, Terminal) or not task.bulk:
        return None
    return Bulk(task.bulk.campaign, len(task.bulk.entries))


# Task → Attempt → Outcome


class Attempt(NamedTuple):
    """One attempt of one mail: what was tried before it, and by which terms it is judged."""

    history: History
    """The attempts before it."""
    policy: RetryPolicy
    """The worker's, with the mail's own wish in it."""
    expires: float | None = None
    """Epoch seconds, by the server's clock, after which the mail must not be sent."""
    to: Sequence[str] = ()
    """The mail's recipients, for the log."""
    probe: bool = False
    """The breaker is open, and how this attempt ends decides."""
    dropped: Sequence[str] = ()
    """Recipients that the mail isn't sent to, for they are suppressed."""

    @classmethod
    def of(cls, claim: Claim, task: Task | Terminal, policy: RetryPolicy) -> Attempt:
        """Return the attempt that a claim asks for."""
        history = History.from_meta(claim.meta, fresh=claim.fresh) if claim.meta else _UNTRIED
        if isinstance(task, Terminal):
            return cls(history, policy, probe=claim.probe)
        own = policy.for_mail(task.on_unknown)
        return cls(history, own, task.expires, task.to, claim.probe)

    def barred(self, clock: ServerClock) -> Terminal | None:
        """Return the outcome of a mail that must not be sent any more, None of one that may be."""
        if self.expires is not None and clock.now() >= self.expires:
            return expired()
        if self.history.room(self.policy) <= 0:
            return doubt_used_up(self.history)
        return None

    def cleared(
        self, message: AnyMessage, suppressed: Mapping[str, Suppressed]
    ) -> tuple[AnyMessage, Attempt] | Terminal:
        """Return the message as it may be sent, and the attempt with who is left out; or how it ended."""
        if not suppressed:
            return message, self
        left, dropped = allowed(message, suppressed, self.policy.suppressed)
        return left if isinstance(left, Terminal) else (left, self._replace(dropped=dropped))

    def ended(
        self, outcome: Outcome, at: float, clock: float = 0.0, seconds: float = 0.0, *, asked: bool = True
    ) -> Ending:
        """Return how it ended: when, by both clocks (see Ending), and after how many seconds.

        It counts if SES was `asked`, unless it is that of a probe which failed through no fault of its mail.
        """
        excused = self.probe and asked and is_excused(outcome)
        history = self.history.after(outcome, at) if asked and not excused else self.history
        return Ending(outcome, history, at, clock, seconds, asked, excused)

    def lost(self, outcome: Outcome, at: float, clock: float = 0.0) -> Ending:
        """Return how it ended if nobody knows SES's answer: it counts, and tells nothing of the account."""
        return Ending(outcome, self.history.after(outcome, at), at, clock)


class Ending(NamedTuple):
    """How and when an attempt ended."""

    outcome: Outcome
    history: History
    """The attempts, this one included if it counts."""
    at: float
    """Epoch seconds, by the server's clock."""
    clock: float = 0.0
    """The same moment by time.monotonic(): a retry's delay counts from there."""
    seconds: float = 0.0
    """Time it took."""
    asked: bool = False
    """SES was asked: its outcome tells of the account, too."""
    excused: bool = False
    """A probe that failed through no fault of its mail: the mail stays as it was before."""

    @property
    def meta(self) -> dict[str, Any]:
        """What the job's meta becomes."""
        return self.history.to_meta(self.outcome)


def is_excused(outcome: Outcome) -> bool:
    """Tell whether a probe's mail has no part in how it ended.

    What SES may have accepted counts like any attempt, so does a failure without an error's name.
    """
    if outcome.ambiguous or isinstance(outcome, Sent) or scope(outcome) == "healthy":
        return False
    return not is_unnamed_failure(outcome)


def internal_error(exc: Exception) -> Terminal:
    """Return the outcome of an attempt that a defect of ours broke off."""
    return Terminal(
        status=None,
        code="InternalError",
        message=f"{type(exc).__name__} while sending (see the worker's log)",
        ambiguous=True,
    )


# Outcome → Decision


class Finished(NamedTuple):
    """Into the finished registry, with this as RQ's result."""

    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Back:
    """To the front of its queue, at once."""


Decision: TypeAlias = Finished | Again | Failed | Back


def judge(attempt: Attempt, ending: Ending) -> Decision:
    """Return what becomes of a mail; a `Failed` bears the line and, where one is known, the hint."""
    outcome = ending.outcome
    if isinstance(outcome, Sent):
        message_id = outcome.message_id
        result: dict[str, Any] = {"message_id": None if message_id is None else one_line(message_id, 120)}
        if attempt.dropped:
            result["suppressed"] = list(attempt.dropped)
        return Finished(result)
    if ending.excused and isinstance(outcome, Terminal):
        # For the next probe it may pass: only its mail's time can end it.
        outcome = Transient(outcome.status, outcome.code, outcome.message, outcome.request_id)
    decision = decide(outcome, ending.history, attempt.policy, ended=ending.at, expires=attempt.expires)
    if isinstance(decision, Failed):
        return Failed(hinted(decision.line, outcome))
    return Back() if ending.excused else decision


# Decision → Settlement


def settlement(
    lease: Lease, attempt: Attempt, ending: Ending, decision: Decision, bulk: Bulk | None = None
) -> Settlement:
    """Return what is to be written of an attempt; `bulk` of a bulk job."""
    action, fields = action_of(decision)
    meta = ending.meta
    if ending.excused and action == "back":
        meta, fields = {}, _as_it_was(lease)
    return Settlement(
        lease,
        action,
        datetime.fromtimestamp(ending.at, UTC),
        meta,
        fields,
        ending.clock,
        seconds=ending.seconds,
        outcome=ending.outcome if ending.asked else None,
        probe=attempt.probe,
        to=attempt.to,
        bulk=bulk,
    )


def action_of(decision: Decision) -> tuple[Action, dict[str, Any]]:
    """Return settle.lua's action for a decision, and its fields."""
    if isinstance(decision, Finished):
        return "sent", sent_fields(decision.result)
    if isinstance(decision, Again):
        return "retry", {"delay": decision.delay}
    if isinstance(decision, Failed):
        return "failed", failed_fields(decision.line)
    return "back", {}


def unsent(lease: Lease, *, probe: bool = False) -> Settlement:
    """Return what puts a mail that nobody has begun to send to the front of its queue, as it was."""
    # Nothing of it but the place is written, so the moment doesn't matter.
    return Settlement(lease, "back", datetime.now(UTC), {}, _as_it_was(lease), probe=probe)


def _as_it_was(lease: Lease) -> dict[str, Any]:
    return {"fresh": int(lease.fresh)}
