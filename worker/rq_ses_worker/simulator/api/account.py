"""The account's limits: who may send to whom, how fast, how much in a day."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from rq_ses_worker.simulator.api import answers
from rq_ses_worker.simulator.api.answers import Answer
from rq_ses_worker.simulator.api.steps import FAULTS_DOMAIN
from rq_ses_worker.simulator.options import Options

DAY: Final = 86_400
MAILBOX_SIMULATOR: Final = "simulator.amazonses.com"
UNLIMITED_RATE: Final = 1_000_000.0
"""What GetAccount reports as MaxSendRate of an account without one: its model has no word for that."""

_EVENTS: Final = {
    "success": "delivery",
    "bounce": "bounce",
    "complaint": "complaint",
    "ooto": "auto-reply",
    "suppressionlist": "suppressed",
}


def event_of(address: str) -> str | None:
    """Return what happens to a mail to one of AWS's simulator addresses, label or not; else None.

    https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
    """
    local, _, domain = address.lower().rpartition("@")
    return _EVENTS.get(local.partition("+")[0]) if domain == MAILBOX_SIMULATOR else None


class Account:
    """One account's use of its limits. Times are monotonic seconds, weights are recipients."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._verified = frozenset(identity.lower().removeprefix("@") for identity in options.verified)
        self._burst = max(options.rate / 4, 1.0)
        self.clear()

    def clear(self) -> None:
        """Forget all use."""
        self._tokens = self._burst
        self._filled_at: float | None = None
        self._sent: deque[tuple[int, int]] = deque()
        self._sent_total = 0

    def identity_refusal(self, sender: str, recipients: Sequence[str]) -> Answer | None:
        """Return SES's refusal of addresses that aren't verified.

        The sandbox checks everyone. Outside of it only the sender is checked, and only when identities are
        configured at all. AWS's simulator addresses and the fault scripts may always be written to.
        """
        checked = [sender] if self._options.sandbox or self._verified else []
        if self._options.sandbox:
            checked += [address for address in recipients if not _always_open(address)]
        failed = [address for address in dict.fromkeys(checked) if not self._is_verified(address)]
        return answers.not_verified(failed, self._options.region) if failed else None

    def limit_refusal(self, recipients: Sequence[str], now: float) -> Answer | None:
        """Return SES's refusal of a mail that comes too soon or over the quota; nothing is charged."""
        limited = self.quota_refusal(recipients, now)
        if limited:
            return limited
        if self._options.rate:
            self._fill(now)
            # A mail heavier than the burst passes a bucket that isn't empty, and leaves it in debt.
            needed = len(recipients) if len(recipients) <= self._burst else 1
            if self._tokens < needed:
                return answers.RATE_EXCEEDED
        return None

    def quota_refusal(self, recipients: Sequence[str], now: float) -> Answer | None:
        """Return SES's refusal of a mail that is over the quota."""
        quota = self._options.quota
        over = quota and self.sent_last_24_hours(now) + _counted(recipients) > quota
        return answers.QUOTA_EXCEEDED if over else None

    def bulk_room(self, now: float) -> float:
        """Return how many recipients a SendBulkEmail may have now; the others are throttled, entry by entry.

        A call may bring what the account sends in a second: "the number of destinations can be limited by
        your account's maximum sending rate". Like a heavy mail it leaves the bucket in debt.
        """
        if not self._options.rate:
            return math.inf
        self._fill(now)
        return 0 if self._tokens < 1 else max(1, self._options.rate // 1, self._tokens // 1)

    def charge(self, recipients: Sequence[str], now: float) -> None:
        """Count an accepted mail; AWS doesn't count its simulator's addresses against the quota."""
        self._tokens -= len(recipients)
        weight = _counted(recipients)
        second = int(now)
        if self._sent and self._sent[-1][0] == second:
            weight += self._sent.pop()[1]
        self._sent.append((second, weight))
        self._sent_total += _counted(recipients)

    def sent_last_24_hours(self, now: float) -> int:
        while self._sent and self._sent[0][0] <= now - DAY:
            self._sent_total -= self._sent.popleft()[1]
        return self._sent_total

    def describe(self, now: float) -> dict[str, Any]:
        """Return the members of GetAccount's answer."""
        options = self._options
        return {
            "DedicatedIpAutoWarmupEnabled": False,
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": not options.sandbox,
            "SendQuota": {
                "Max24HourSend": float(options.quota) if options.quota else -1.0,
                "MaxSendRate": float(options.rate) if options.rate else UNLIMITED_RATE,
                "SentLast24Hours": float(self.sent_last_24_hours(now)),
            },
            "SendingEnabled": True,
            "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
        }

    def _fill(self, now: float) -> None:
        # A request can arrive before another and be read after it.
        last = now if self._filled_at is None else self._filled_at
        elapsed = max(0.0, now - last)
        self._filled_at = max(now, last)
        self._tokens = min(self._burst, self._tokens + elapsed * self._options.rate)

    def _is_verified(self, address: str) -> bool:
        address = address.lower()
        if address in self._verified:
            return True
        # A verified domain covers its subdomains.
        labels = address.rpartition("@")[2].split(".")
        return any(".".join(labels[i:]) in self._verified for i in range(len(labels)))


def _always_open(address: str) -> bool:
    return event_of(address) is not None or address.lower().endswith(f"@{FAULTS_DOMAIN}")


def _counted(recipients: Sequence[str]) -> int:
    return sum(event_of(address) is None for address in recipients)
