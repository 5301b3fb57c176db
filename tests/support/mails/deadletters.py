"""Dead letters made by the worker's own transitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from redis import Redis

from rq_ses import Message, Outbox, Submission, contract
from rq_ses_worker.engine.senders import settlement
from rq_ses_worker.lifecycle.retry import History, RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient

UNVERIFIED: Final = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: "
)
POLICY: Final = RetryPolicy(max_attempts=1, on_unknown="hold", give_up_after=0)


def rejected(address: str = "shop@example.com", request_id: str = "r-1") -> Terminal:
    return Terminal(400, "MessageRejected", f"{UNVERIFIED}{address}", request_id)


def refused() -> Transient:
    return Transient(code="ConnectionRefused", message="The host refused the connection.")


def in_doubt() -> Transient:
    return Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True)


def fail(
    redis: Redis,
    mails: Sequence[Message | Submission],
    outcome: Outcome | Sequence[Outcome] | None = None,
    *,
    queue: str = "mail",
    age: float = 0,
) -> list[str]:
    """Enqueue mails into an empty queue and let them fail, each with its outcome; return their job ids."""
    receipts = Outbox(redis, queue).send_many(mails)
    fail_queued(redis, outcome, queue=queue, age=age)
    return [receipt.job_id for receipt in receipts]


def fail_queued(
    redis: Redis,
    outcome: Outcome | Sequence[Outcome] | None = None,
    *,
    queue: str = "mail",
    age: float = 0,
    earlier: Sequence[Outcome] = (),
) -> None:
    """Let all that waits in a queue fail, `age` seconds ago, after `earlier` attempts."""
    lifecycle = Lifecycle(redis, [queue], "tests", "aaaaaaaa", 30.0)
    ended = datetime.now(UTC) - timedelta(seconds=age)
    place = 0
    while redis.llen(contract.queue_key(queue)):
        claims, _ = lifecycle.claim(500)
        settlements = []
        for claim in claims:
            this = outcome or rejected() if not isinstance(outcome, Sequence) else outcome[place]
            assert isinstance(this, RateLimited | Transient | Terminal)
            history = History.from_meta(claim.meta, fresh=claim.fresh)
            for one in (*earlier, this):
                history = history.after(one, ended.timestamp())
            settlements.append(settlement(claim.lease, this, history, POLICY, ended=ended, ended_clock=0.0))
            place += 1
        assert set(lifecycle.settle(settlements, clock=0.0)) == {"done"}
