"""The gate of an SES account: what all its workers share in Redis, so that none sends what the account can't.

Its parts are the breaker, the send rate and the day's quota; they stand in one hash (gate.lua) and are
asked by `claim` in the same step that takes the mails, so that what is refused stays queued, untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rq_ses import contract

Refusal = Literal["", "rate", "quota", "asking", "open", "manual", "probing", "probe"]
"""Why a claim handed out less than was wanted (lifecycle/claim.lua)."""

STREAK: Final = 24
"""Failed attempts in a row that open the breaker whatever their share: of 1,000 mails a second, too, no more
than 60 go out in an outage of 20 s, those under way and the probes included."""

BREAKER_OPEN: Final[frozenset[Refusal]] = frozenset({"open", "manual", "probing", "probe"})


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Which gate a worker goes by, and what moves it; seconds throughout."""

    account: str = contract.DEFAULT_ACCOUNT
    region: str = "unknown"
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

    @property
    def streak(self) -> int:
        """Failed attempts in a row that open the breaker, whatever their share of the latest."""
        return max(STREAK, self.breaker_failures)

    @property
    def key(self) -> str:
        """The account's key in Redis."""
        return contract.account_key(self.account, self.region)

    @property
    def rate_text(self) -> str:
        """The rate as the scripts take it: "" is what SES says."""
        return "" if self.max_send_rate is None else f"{self.max_send_rate:.6f}"


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
