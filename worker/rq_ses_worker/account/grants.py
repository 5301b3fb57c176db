"""Tokens for recipients: granted by an account's gate that stands elsewhere than a partition's mails.

A worker asks only when it knows that mails wait, for no more than it would claim at once, and gives back what
it didn't need. Tokens may be lost with a worker; a mail never depends on one.
"""

from __future__ import annotations

import time
from typing import Final

from redis import Redis

from rq_ses_worker.account.gate import SCRIPTS, Gate, GatePolicy, View
from rq_ses_worker.server.scripts import registered

KEEP: Final = 0.5
"""Seconds after which tokens are given back: others may wait for them, and the breaker may have opened."""

LOOK: Final = 1.0
"""Seconds after which the gate is looked at, though nothing waits: its breaker may have moved, and SES may
have to be asked for the account's limits."""


class Grants:
    """What one worker holds of the gate's tokens, and what the gate told it last; for the thread that claims.

    Args:
        connection: a client of where the gate stands.
        policy: which gate, and what moves it.
        lease: seconds for which a probe is held to be made.
        asks: whether this worker can ask SES for the account's limits.
    """

    def __init__(self, connection: Redis, policy: GatePolicy, lease: float, *, asks: bool = False) -> None:
        self.connection: Final = connection
        self.gate: Final = Gate(connection, policy)
        self.asks: Final = asks
        self.view = View()
        """What the gate said when it was asked last; `ask` stands until `take_duty`."""
        self.bounded = False
        """The day has no more than what is held."""
        self.probing = False
        """The one token held is for the probe."""
        self.most = 0
        """Entries of a bulk job that may be sent together; 0: any number."""
        self.last_probe = ""
        """The job that was probed with last."""
        self._lease = lease
        self._tokens = 0
        self._voided = False
        self._unreported = 0
        self._asked_at = 0.0
        self._duty = False
        self._name = ""
        self._scripts = registered(connection, {name: SCRIPTS[name] for name in ("grant", "probing")})

    @property
    def tokens(self) -> int:
        """What may be spent now."""
        is_old = time.monotonic() - self._asked_at > KEEP
        return 0 if self._voided or is_old else self._tokens

    def is_due(self, need: int) -> bool:
        """Tell whether to ask before mails are claimed of which the next needs so many (0: none waits)."""
        since = time.monotonic() - self._asked_at
        return self.tokens < max(need, min(1, self._tokens)) or since > LOOK

    def ask(self, wanted: int, need: int, name: str) -> bool:
        """Give back what is held, and get up to `wanted` tokens, `need` together; tell whether it got any.

        Args:
            wanted: 0 only looks at the gate, and gives back.
            need: how many the next mail takes.
            name: what the gate knows the probe by, if what it grants is one.

        Raises:
            RedisError: the gate can't be asked; what was held is lost.
        """
        back, unreported = self._tokens, self._unreported
        self._tokens = self._unreported = 0
        self.probing = self._voided = False
        policy_text, asks = self.gate.rate_text, "1" if self.asks else ""
        began = time.monotonic()
        granted, word, wait, ask, failures, openings, bounded, last_probe, self.most = self._scripts["grant"](
            keys=self.gate.keys, args=[wanted, need, back, unreported, policy_text, asks, name, self._lease]
        )
        self._asked_at = began
        self._tokens, self.bounded = granted, bool(bounded)
        self.view = View(word.decode(), wait / 1e6, False, False, failures, openings)
        self._duty = self._duty or bool(ask)
        self.probing, self.last_probe, self._name = word == b"probe", last_probe.decode(), name
        return bool(granted)

    def spent(self, tokens: int, mails: int) -> None:
        """Note what a claim of so many mails took."""
        self._tokens -= tokens
        self._unreported += mails - tokens

    def lose(self) -> None:
        """Note that a claim ended without an answer: it may have spent everything."""
        self._tokens = 0

    def void(self) -> None:
        """Spend nothing more of what is held: the breaker has opened. Any thread may say so."""
        self._voided = True

    def take_duty(self) -> bool:
        """Tell, once, whether this worker shall ask SES for the account's limits."""
        duty, self._duty = self._duty, False
        return duty

    # The probe

    def found(self, job_id: str, member: str) -> None:
        """Tell the gate which mail the probe is; "" if there was none. Raises RedisError."""
        self.probing = False
        if not member:
            self.view = View("open", 0.0, False, False, self.view.failures, self.view.openings)
        self._tell(self._name, member, job_id)

    def still(self, job_id: str, member: str) -> None:
        """Tell the gate that a probe is still being made. Raises RedisError."""
        self._tell(member, member, job_id)

    def _tell(self, known_as: str, member: str, job_id: str) -> None:
        self._scripts["probing"](keys=self.gate.keys, args=[known_as, member, self._lease, job_id])
