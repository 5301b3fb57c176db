"""What becomes of a mail after an attempt: pure decisions from an outcome, its history and the policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from rq_ses.contract import OnSuppressed, OnUnknown
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient, details, summary

OUTCOME_UNKNOWN: Final = "OutcomeUnknown"
"""Code of a mail that isn't sent again by itself, however it was requeued: its doubt is used up."""

WORKER_LOST: Final = "WorkerLost"
"""Code of an attempt whose worker died, or was away longer than its lease."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a mail is tried again, and when no more; seconds throughout."""

    rate_limited_delay: float = 5.0
    transient_delay: float = 1.0
    backoff: float = 1.0
    """Factor by which a delay grows with each further attempt of its kind; 1 keeps it constant."""
    max_delay: float = 300.0
    max_attempts: int = 10
    """Attempts that may end transiently; rate-limited ones don't count."""
    give_up_after: float = 86_400.0
    """From the end of the first attempt on, whatever the outcomes."""
    on_unknown: OnUnknown = "resend"
    """Whether a mail that SES may have accepted is sent again, or held in the failed registry."""
    max_doubtful: int = 3
    """Deliveries in all that SES may have accepted; then the mail is held."""
    suppressed: OnSuppressed = "fail"
    """What becomes of a mail of which some recipients are on the suppression list."""

    def for_mail(self, on_unknown: OnUnknown | None) -> RetryPolicy:
        """Return the policy for a mail that may have a wish of its own."""
        return self if on_unknown in (None, self.on_unknown) else replace(self, on_unknown=on_unknown)


DEFAULTS: Final = RetryPolicy()
"""What the settings say where nobody sets anything else."""


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class History(NamedTuple):
    """A mail's attempts since it was enqueued or requeued, as kept in the job's meta, and its doubt ever."""

    attempts: int = 0
    rate_limited: int = 0
    transient: int = 0
    ambiguous: int = 0
    """Attempts ever after which SES may have accepted the mail: once there was one, its fate is in doubt."""
    consented: int = 0
    """Deliveries in all that a person has consented to, doubt or not (`rq-ses resend --include-unknown`)."""
    first_attempt_at: float | None = None
    other: Mapping[str, Any] = _NOTHING
    """What else stands in meta: the user's own."""

    @classmethod
    def from_meta(cls, meta: bytes | str, *, fresh: bool) -> History:
        """Read a job's meta; what is unreadable counts as nothing. A `fresh` one keeps but its doubt."""
        try:
            stored = json.loads(meta) if meta else {}
        except (ValueError, RecursionError):
            stored = {}
        if not isinstance(stored, dict):
            stored = {}
        return cls.from_stored(stored, fresh=fresh)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], *, fresh: bool) -> History:
        """Read a job's meta that is a mapping already."""
        if not stored:
            return cls()
        doubt = cls(
            ambiguous=_count(stored.get("ambiguous")),
            consented=_count(stored.get("consented")),
            other={name: value for name, value in stored.items() if name not in _OURS},
        )
        if fresh:
            return doubt
        return doubt._replace(
            attempts=_count(stored.get("attempts")),
            rate_limited=_count(stored.get("rate_limited")),
            transient=_count(stored.get("transient")),
            first_attempt_at=_moment(stored.get("first_attempt_at")),
        )

    def room(self, policy: RetryPolicy) -> int:
        """Return how many more deliveries may end in doubt; 0 or less is none."""
        return max(policy.max_doubtful, self.consented) - self.ambiguous

    def after(self, outcome: Outcome, ended: float) -> History:
        """Return the history with one more attempt, which ended at `ended` (epoch seconds)."""
        return History(
            self.attempts + 1,
            self.rate_limited + isinstance(outcome, RateLimited),
            self.transient + isinstance(outcome, Transient),
            self.ambiguous + outcome.ambiguous,
            self.consented,
            ended if self.first_attempt_at is None else self.first_attempt_at,
            self.other,
        )

    def to_meta(self, outcome: Outcome) -> dict[str, Any]:
        """Return the job's meta after `outcome`."""
        meta: dict[str, Any] = {**self.other, "attempts": self.attempts}
        sent = isinstance(outcome, Sent)
        if self.ambiguous or (self.transient and not sent):
            # Also where it is 0: that these were certainly not accepted is worth knowing.
            meta["ambiguous"] = self.ambiguous
        if sent:
            return meta
        if self.rate_limited:
            meta["rate_limited"] = self.rate_limited
        if self.transient:
            meta["transient"] = self.transient
        if self.consented:
            meta["consented"] = self.consented
        if self.first_attempt_at is not None:
            meta["first_attempt_at"] = round(self.first_attempt_at, 3)
        meta["last_outcome"] = details(outcome)
        return meta


_OURS = frozenset(
    {
        "attempts",
        "rate_limited",
        "transient",
        "ambiguous",
        "consented",
        "first_attempt_at",
        "last_outcome",
        "final",
    }
)


def without_others(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's meta without what isn't ours."""
    return {name: value for name, value in meta.items() if name in _OURS}


@dataclass(frozen=True, slots=True)
class Again:
    """Try again, `delay` seconds after the attempt ended."""

    delay: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Into the failed registry, with this line."""

    line: str


def decide(
    outcome: RateLimited | Transient | Terminal,
    history: History,
    policy: RetryPolicy,
    *,
    ended: float,
    expires: float | None = None,
) -> Again | Failed:
    """Return what becomes of a mail that wasn't sent.

    Args:
        outcome: how the attempt ended.
        history: the attempts, this one included.
        policy: the bounds.
        ended: when the attempt ended (epoch seconds).
        expires: when the mail expires (epoch seconds).
    """
    line, doubt = summary(outcome), _doubt(history.ambiguous)
    if outcome.code == OUTCOME_UNKNOWN:
        return Failed(f"outcome unknown: {line}")
    if isinstance(outcome, Terminal):
        return Failed(line + doubt)
    if outcome.ambiguous and (policy.on_unknown == "hold" or history.room(policy) <= 0):
        return Failed(f"outcome unknown: {line}{doubt}")
    if isinstance(outcome, RateLimited):
        delay = _delay(policy.rate_limited_delay, history.rate_limited, outcome.retry_after, policy)
    else:
        if history.transient >= policy.max_attempts:
            return Failed(f"{line}; gave up after {_times(history.attempts)}{doubt}")
        delay = _delay(policy.transient_delay, history.transient, outcome.retry_after, policy)
    first = ended if history.first_attempt_at is None else history.first_attempt_at
    attempts = _times(history.attempts)
    if ended + delay - first > policy.give_up_after:
        return Failed(f"{line}; gave up {ended - first:.0f} s and {attempts} after the first{doubt}")
    if expires is not None and ended + delay >= expires:
        return Failed(f"{line}; expired before the next attempt, after {attempts}{doubt}")
    return Again(delay)


def doubt_used_up(history: History) -> Terminal:
    """Return the outcome of a mail that isn't sent: SES may have accepted it as often as it may."""
    return Terminal(
        code=OUTCOME_UNKNOWN,
        message=f"not sent: SES may have accepted it {_often(history.ambiguous)} already; "
        "`rq-ses resend --include-unknown` sends it once more",
    )


def expired() -> Terminal:
    """Return the outcome of a mail that was still unsent when it expired."""
    return Terminal(status=None, code="Expired", message="the mail expired before it could be sent")


def lost_worker(worker: str) -> Transient:
    """Return the outcome of an attempt whose worker died, or was away longer than its lease."""
    name = f"worker {worker}" if worker else "its worker"
    return Transient(
        status=None, code=WORKER_LOST, message=f"{name} was lost while sending the mail", ambiguous=True
    )


def lost_before_sending(worker: str) -> Transient:
    """Return the outcome of an attempt whose worker was lost before it asked SES for anything."""
    name = f"worker {worker}" if worker else "its worker"
    return Transient(status=None, code=WORKER_LOST, message=f"{name} was lost before it sent any of it")


def _delay(base: float, times: int, asked: float | None, policy: RetryPolicy) -> float:
    # A power that overflows is beyond any bound.
    try:
        delay = base * policy.backoff ** max(0, times - 1)
    except OverflowError:
        delay = policy.max_delay
    if policy.backoff > 1:
        delay = min(delay, max(base, policy.max_delay))
    return max(delay, min(asked, policy.max_delay)) if asked else delay


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e12 else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _doubt(ambiguous: int) -> str:
    return f"; SES may have accepted it {_often(ambiguous)}" if ambiguous else ""
