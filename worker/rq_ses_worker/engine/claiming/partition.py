"""The transitions of the mails of one partition, whose account has its gate elsewhere.

The gate can't be asked in the step that claims. So a claim is made with tokens it has granted before
(rq_ses_worker.account.grants), and what settlements tell of the account goes there in a call of its own.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.suppression.lookup import Lookup
from rq_ses_worker.account.gate import Observation, View
from rq_ses_worker.account.grants import Grants
from rq_ses_worker.lifecycle.codec import Claimed
from rq_ses_worker.lifecycle.records import Claim, Lease, Suspended
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.errand import Along, Errand

log = logging.getLogger(__name__)

ROUNDS: Final = 4
"""Claims in a row at most, each with tokens for the mail that the one before had too few for."""

_SHUT: Final = frozenset({"open", "manual", "probing"})
"""What the gate says whether mails wait or not."""


class PartitionLifecycle(Lifecycle):
    """As Lifecycle, by the grants of a gate that stands elsewhere.

    A claim that finds mails waiting takes one more round trip, to the gate; one that finds none asks nothing
    of it, but for a look now and then.

    Args:
        connection: a client of the partition that does not retry by itself.
        queues: names, the most urgent first.
        worker_name: RQ's name of the worker.
        execution_prefix: text no other process uses; execution ids begin with it.
        lease: seconds.
        grants: of the account that sends what is claimed.
    """

    def __init__(
        self,
        connection: Redis,
        queues: Sequence[str],
        worker_name: str,
        execution_prefix: str,
        lease: float,
        grants: Grants,
    ) -> None:
        super().__init__(connection, queues, worker_name, execution_prefix, lease, asks=grants.asks)
        self._keys.take_turns()
        self._grants, self._gate = grants, grants.gate
        self.suppression = Lookup(grants.connection)
        self._waiting, self._need, self._weight = 0, 1, 1.0
        self._probe: Lease | None = None

    def claim(self, wanted: int, along: Sequence[Along[Any]] = ()) -> tuple[list[Claim], int]:
        """Take up to `wanted` queued jobs, as far as the gate grants tokens (Lifecycle.claim)."""
        asked = refused = False
        dropped = 0
        if self._grants.is_due(self._need if self._waiting else 0):
            asked, refused = True, not self._ask(wanted) and self._waiting > 0
        for _ in range(ROUNDS):
            claimed, along = self._take(wanted, along), ()
            dropped += claimed.dropped
            while claimed.aside and not claimed.claims and not claimed.view.refusal:
                claimed = self._take(wanted)
            if claimed.claims or claimed.view.refusal != "rate" or refused:
                break
            asked, refused = True, not self._ask(wanted)
            if refused:
                break
        if claimed.view.refusal == "quota" and self._grants.tokens:
            self._give_back()
        self.view = self._seen(claimed, asked=asked)
        return claimed.claims, dropped

    @property
    def listed(self) -> bool:
        """Tell whether addresses are suppressed: where the gate stands, for a claim doesn't see it."""
        return self.suppression.is_listed()

    def _ask(self, wanted: int) -> bool:
        wanted = math.ceil(min(wanted, self._waiting) * self._weight)
        need, most = self._need if wanted else 0, self._grants.most
        name = f":{self._prefix}{self._count:x}"
        granted = self._grants.ask(wanted, need, name)
        if need > 1 and self._grants.most != most:
            # What a bulk job needs was reckoned by another rate, or while none was known: it may need less.
            granted = self._grants.ask(wanted, 1, name)
        return granted

    def _take(self, wanted: int, along: Sequence[Along[Any]] = ()) -> Claimed:
        """Claim with what is held."""
        grants = self._grants
        tokens, probing = grants.tokens, grants.probing
        flags = ["1" if grants.bounded else "", "1" if probing else "", grants.last_probe, grants.most or ""]
        try:
            claimed = self._claim(wanted, tokens, *flags, along=along)
        except Suspended:
            self._waiting = 0  # tokens aren't asked for while nothing may be claimed
            if probing:
                self._name_probe([])
            raise
        except RedisError:
            grants.lose()
            raise
        spent, mails = tokens - claimed.tokens, len(claimed.claims)
        grants.spent(spent, mails)
        if mails:
            self._weight += (spent / mails - self._weight) / 8
        self._waiting, self._need = claimed.waiting, claimed.need
        if probing:
            self._name_probe(claimed.claims)
        return claimed

    def _name_probe(self, claims: Sequence[Claim]) -> None:
        self._probe = claims[0].lease if claims else None
        # Not told, the probe counts as dead when its time is up, and another is made.
        with contextlib.suppress(RedisError):
            job_id, member = (self._probe.job_id, self._probe.member) if self._probe else ("", "")
            self._grants.found(job_id, member)

    def _seen(self, claimed: Claimed, *, asked: bool) -> View:
        said, found = self._grants.view, claimed.view
        refusal, wait = found.refusal, found.wait
        is_shut = said.refusal in _SHUT and refusal in ("", "rate")
        if is_shut or (refusal == "rate" and asked and said.refusal):
            refusal, wait = said.refusal, said.wait
        waiting, ask = refusal not in ("", "probe") and claimed.waiting > 0, self._grants.take_duty()
        return replace(said, refusal=refusal, wait=wait, waiting=waiting, ask=ask)

    def _tell_gate(self, seen: Observation) -> Errand[None]:
        def read(_: Sequence[Any]) -> None:
            try:
                state = self._gate.observe(seen).run()
            except RedisError as exc:
                events.GATE_UNTOLD.log(log, error=str(exc))
            else:
                if state != b"closed":
                    self._grants.void()
            probe = self._probe  # another thread may name the next
            if probe and seen.probe == probe.member:
                self._probe = None

        return Errand([], read)

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Extend the leases that still stand, and return them; a probe's stands at the gate, too."""
        kept, probe = super().renew(leases), self._probe
        if probe and probe in kept:
            with contextlib.suppress(RedisError):
                self._grants.still(probe.job_id, probe.member)
        return kept

    def leave(self) -> None:
        """Give back the tokens that nobody needs any more; never raises."""
        self._give_back()

    def _give_back(self) -> None:
        with contextlib.suppress(RedisError):
            self._grants.ask(0, 0, "")
