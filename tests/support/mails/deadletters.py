"""Dead letters made by the worker's own transitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis

from rq_ses import Message, Outbox, Submission
from rq_ses.message.reading import AnyMessage
from rq_ses_worker.engine.attempt import Attempt, judge, settlement
from rq_ses_worker.lifecycle.retry import History, RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient
from support.mails.keys import KEYS
from support.mails.mail import mail

FAILED: Final = KEYS.registry("failed", "mail")
QUEUE: Final = KEYS.queue("mail")

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
    mails: Sequence[AnyMessage | Submission],
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
    while redis.llen(KEYS.queue(queue)):
        claims, _ = lifecycle.claim(500)
        settlements = []
        for claim in claims:
            this = outcome or rejected() if not isinstance(outcome, Sequence) else outcome[place]
            assert isinstance(this, RateLimited | Transient | Terminal)
            history = History.from_meta(claim.meta, fresh=claim.fresh)
            for one in earlier:
                history = history.after(one, ended.timestamp())
            attempt = Attempt(history, POLICY)
            ending = attempt.lost(this, ended.timestamp())
            settlements.append(settlement(claim.lease, attempt, ending, judge(attempt, ending)))
            place += 1
        assert set(lifecycle.settle(settlements, clock=0.0)) == {"done"}


def mails(count: int, **fields: Any) -> list[Message]:
    """Return so many mails, to user0@example.com and so on."""
    return [mail(f"user{number}@example.com", **fields) for number in range(count)]


def queued(redis: Redis, queue: str = "mail") -> list[str]:
    """Return the ids of the mails that wait in a queue."""
    return [one.decode() for one in redis.lrange(KEYS.queue(queue), 0, -1)]


def standing_failed(redis: Redis, queue: str = "mail") -> set[str]:
    """Return the ids in a queue's failed registry."""
    return {one.decode() for one in redis.zrange(KEYS.registry("failed", queue), 0, -1)}
