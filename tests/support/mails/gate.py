"""Two workers of one account, and a way to let the time of its gate pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from rq_ses import Outbox
from rq_ses.contract import FLOW_NAMES
from rq_ses.gate import _FLOW, GateState, read_gate
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.account.grants import Grants
from rq_ses_worker.engine.claiming.partition import PartitionLifecycle
from rq_ses_worker.lifecycle.records import Claim, Settlement, Word, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.account import Account
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.mails.keys import KEYS
from support.mails.mail import mail

QUEUES = ["mail-high", "mail", "mail-bulk"]
SENT, BUSY = Sent(200, message_id="m"), Transient(503, "ServiceUnavailable", "Busy.")
PAUSED = Terminal(400, "SendingPausedException", "The account is paused.")
LIMITED = RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
REJECTED = Terminal(400, "MessageRejected", "No.")
KEY = KEYS.account("default", "eu-west-1")


class Story:
    """Two workers of one account, and a way to let its time pass.

    `granted`: the gate is asked by itself before each claim, as that of a partition is.
    """

    def __init__(self, redis: Redis, *, granted: bool = False) -> None:
        self.redis = redis
        self.granted = granted
        self.ours, self.other = self.worker("aaaaaaaa"), self.worker("bbbbbbbb")

    def worker(self, prefix: str, *, asks: bool = False, **policy: Any) -> Lifecycle:
        gate = GatePolicy(region="eu-west-1", **policy)
        if self.granted:
            grants = Grants(self.redis, gate, 30.0, asks=asks)
            return PartitionLifecycle(self.redis, QUEUES, prefix, prefix, 30.0, grants)
        return Lifecycle(self.redis, QUEUES, prefix, prefix, 30.0, gate=gate, asks=asks)

    def enqueue(self, count: int, recipients: int = 1, queue: str = "mail") -> list[str]:
        copies = [f"c{n}@example.com" for n in range(recipients - 1)]
        outbox = Outbox(connection=self.redis, queue=queue)
        return [r.job_id for r in outbox.send_many([mail(cc=copies) for _ in range(count)])]

    @property
    def gate(self) -> GateState:
        return read_gate(self.redis, "default", "eu-west-1")

    def flow(self) -> dict[str, float]:
        return dict(zip(FLOW_NAMES, _FLOW.unpack(self.redis.hget(KEY, "flow") or b""), strict=True))

    def change(self, **values: float) -> None:
        self.redis.hset(KEY, "flow", _FLOW.pack(*{**self.flow(), **values}.values()))

    def passes(self, seconds: float) -> None:
        """Let the gate believe that everything happened so much earlier."""
        flow = self.flow()
        moments = [name for name in flow if name.endswith("_at") and flow[name]] + ["answered", "refused"]
        self.change(**{name: flow[name] - seconds for name in moments if flow[name]})
        for name in ("since", "next_probe", "probe_until", "closed_at"):
            moment = self.redis.hget(KEY, name)
            if moment:
                self.redis.hset(KEY, name, float(moment) - seconds)

    def probe_is_due(self) -> None:
        self.redis.hset(KEY, "next_probe", 1)

    def end(
        self, claims: Sequence[Claim], *outcomes: Outcome | None, worker: Lifecycle | None = None
    ) -> list[Word]:
        endings = []
        for claim, outcome in zip(claims, outcomes, strict=True):
            action: Any = "sent" if outcome == SENT else "failed" if outcome == REJECTED else "back"
            fields = (
                sent_fields({}) if action == "sent" else failed_fields("no") if action == "failed" else {}
            )
            meta = {"attempts": 1} if fields else {}
            fields = fields or {"fresh": int(claim.fresh)}
            now = datetime.now(UTC)
            endings.append(
                Settlement(claim.lease, action, now, meta, fields, outcome=outcome, probe=claim.probe)
            )
        return (worker or self.ours).settle(endings, clock=time.monotonic())

    def fails(self, times: int, outcome: Outcome = BUSY) -> None:
        for _ in range(times):
            claims, _ = self.ours.claim(1)
            self.end(claims, outcome)

    def opened(self) -> None:
        self.enqueue(3)
        self.fails(1, PAUSED)
        assert self.gate.breaker == "open"

    def lease_ends(self, claim: Claim) -> None:
        member = f"{claim.lease.job_id}:{claim.lease.execution}"
        self.redis.zadd(KEYS.leases(QUEUES[claim.lease.queue]), {member: 1}, xx=True)

    def probing(self) -> Claim:
        self.opened()
        self.probe_is_due()
        [claim], _ = self.ours.claim(5)
        assert claim.probe
        return claim


def learn(worker: Lifecycle, rate: float, quota: float = -1.0, sent: float = 0.0) -> None:
    worker.learn(Account(rate, quota, sent, True, True, "HEALTHY"), ask_again=300.0)


def order(account: Story, count: int) -> str:
    return "".join("hmb"[account.ours.claim(1)[0][0].lease.queue] for _ in range(count))
