"""The gate of an SES account: what all its workers share in Redis, so that none sends what the account can't.

Its parts are the breaker, the send rate and the day's quota; they stand in one hash (gate.lua). Three scripts
touch it: lifecycle/claim.lua asks it in the same step that takes the mails, so that what is refused stays
queued, untouched; observe.lua and limits.lua tell it how attempts ended, and what SES allows. Where mails
stand in partitions it can't be asked in that step: grant.lua gives tokens before, and probing.lua learns
which mail became the probe (rq_ses_worker.account.grants). People read it and move its breaker by
rq_ses.gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import Redis

from rq_ses import contract
from rq_ses.gate import GateState, read_gate
from rq_ses.keys import keys_of
from rq_ses_worker.server.scripts import TYPED, Call, Parts, registered
from rq_ses_worker.ses.account import Account

GATE: Final = "account/gate"
"""Stands in front of the scripts that touch an account's gate."""

PASSING: Final = "account/passing"
"""Stands behind it in front of those that let mails pass."""

SCRIPTS: Final[dict[str, Parts]] = {
    "observe": (TYPED, GATE, "account/observe"),
    "limits": (TYPED, GATE, "account/limits"),
    "grant": (TYPED, GATE, PASSING, "account/grant"),
    "probing": (TYPED, GATE, "account/probing"),
}
"""The parts of each script that only the gate is about."""

Refusal = Literal["", "rate", "quota", "asking", "open", "manual", "probing", "probe"]
"""Why a claim handed out less than was wanted (lifecycle/claim.lua)."""

STREAK: Final = 24
"""Failed attempts in a row that open the breaker whatever their share: of 1,000 mails a second, too, no more
than 60 go out in an outage of 20 s, those under way and the probes included."""

BREAKER_OPEN: Final[frozenset[Refusal]] = frozenset({"open", "manual", "probing", "probe"})
"""Refusals of a breaker that isn't closed."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Which gate a worker goes by, and what moves it; seconds throughout."""

    account: str = contract.DEFAULT_ACCOUNT
    """The SES account's name in the settings."""
    region: str = "unknown"
    """The AWS region whose SES is called: each has limits of its own."""
    max_send_rate: float | None = None
    """Recipients a second; None is what SES says."""
    breaker_failures: int = 8
    """Failed attempts in a row, of all workers, that open the breaker."""
    breaker_share: float = 0.5
    """Share of the latest attempts (a second or two) that must have failed, too."""
    first_probe: float = 5.0
    """From the opening to the first probe."""
    longest_probe: float = 60.0
    """Between two probes at most."""
    bulk_size: int = contract.BULK_ENTRIES
    """Entries of a bulk job that are claimed, and so paid for, together at most."""

    @property
    def streak(self) -> int:
        """Failed attempts in a row that open the breaker, whatever their share of the latest."""
        return max(STREAK, self.breaker_failures)

    @property
    def rate_text(self) -> str:
        """The rate as the scripts take it: "" is what SES says."""
        return "" if self.max_send_rate is None else f"{self.max_send_rate:.6f}"


DEFAULTS: Final = GatePolicy()
"""What the settings say where nobody sets anything else."""


@dataclass(frozen=True, slots=True)
class View:
    """What a claim saw of the gate."""

    refusal: Refusal = ""
    wait: float = 0.0
    """Seconds until it may be worth while to claim again."""
    waiting: bool = False
    """Mails are queued that were refused."""
    ask: bool = False
    """This worker shall ask SES for the account's limits."""
    failures: int = 0
    """Attempts that failed in a row."""
    openings: int = 0
    """How often the breaker has opened."""


Verdict = Literal["", "pass", "fail", "void"]
"""How a probe ended: SES is well, it is not, or nothing was sent."""


@dataclass(slots=True)
class Observation:
    """What a batch of attempts tells the gate (observe.lua): a tally, in the order in which they ended."""

    healthy: bool = False
    """One at least ended well, or for a reason of its mail alone."""
    failing: int = 0
    """Attempts of the scope "failing" (rq_ses_worker.account.scope)."""
    trailing: int = 0
    """Failed ones since the last healthy one."""
    limited: bool = False
    """SES answered that it was asked too fast."""
    line: str = ""
    """About the last failure; of the account, if there was one."""
    account: bool = False
    """The line concerns every mail of the account."""
    probe: str = ""
    """JOB:EXECUTION of the probe that has ended; `verdict` says how."""
    verdict: Verdict = ""

    def tells(self, view: View) -> bool:
        """Tell whether the gate, as a claim saw it last, has anything to learn from this."""
        if self.failing or self.limited or self.account or self.probe:
            return True
        return self.healthy and view.failures > 0


class Gate:
    """An account's gate, for one worker.

    Args:
        connection: any client.
        policy: which gate, and what moves it.
    """

    def __init__(self, connection: Redis, policy: GatePolicy) -> None:
        keys = keys_of(connection)
        self.key: Final = keys.account(policy.account, policy.region)
        self.keys: Final = [self.key, keys.scratch]
        """KEYS of all scripts that the gate alone is about."""
        self.rate_text: Final = policy.rate_text
        self.bulk_size: Final = policy.bulk_size
        self._policy = policy
        self._connection: Any = connection
        self._scripts = registered(connection, SCRIPTS)

    def observe(self, seen: Observation) -> Call:
        """Return the call that lets the gate learn of ended attempts; twice the same only counts twice."""
        policy = self._policy
        args = [
            *(int(seen.healthy), seen.failing, seen.trailing, int(seen.limited)),
            *(seen.line, int(seen.account), seen.probe, seen.verdict),
            *(policy.breaker_failures, policy.breaker_share, policy.first_probe, policy.longest_probe),
            *(self.rate_text, policy.streak),
        ]
        return Call(self._scripts["observe"], self.keys, args)

    def learn(self, account: Account | None, *, ask_again: float) -> None:
        """Keep the account's limits as SES told them, or None if it didn't; ask again after these seconds.

        Raises RedisError.
        """
        limits: list[Any] = ["", -1, 0]
        if account is not None:
            limits = [account.max_send_rate, account.max_24_hour_send, account.sent_last_24_hours]
        self._scripts["limits"](keys=self.keys, args=[*limits, ask_again])

    def state(self) -> GateState:
        """Return the gate as it stands, for people. Raises RedisError."""
        return read_gate(self._connection, self._policy.account, self._policy.region)

    def is_probed_by(self, member: str) -> bool:
        """Tell whether `member` (JOB:EXECUTION) is the probe under way. Raises RedisError."""
        return bool(self._connection.hget(self.key, "probe") == member.encode())
