"""A queue whose worker fails in the middle of something, and what runs anyway and puts it right."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Outbox
from rq_ses.server.refusal import is_denied
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.accounting import PLACES
from support.mails.breaking import Breakable
from support.mails.keys import KEYS

QUEUE = "mail"
LIST, LEASES = KEYS.queue(QUEUE), KEYS.leases(QUEUE)
SCHEDULED = KEYS.registry("scheduled", QUEUE)


def ending(lease: Lease, action: Any, **options: Any) -> Settlement:
    fields: dict[str, dict[str, Any]] = {
        "sent": sent_fields({"message_id": "m"}),
        "retry": {"delay": 0.0},
        "failed": failed_fields("MessageRejected: no"),
        "back": {},
    }
    return Settlement(
        lease, action, datetime.now(UTC), {"attempts": 1}, fields[action], time.monotonic(), **options
    )


class World:
    """A queue, the worker whose scripts break off, and another one beside it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.outbox = Outbox(connection=redis)
        self.ours = Lifecycle(redis, [QUEUE], "ours", "a" * 16, 30.0)
        self.other = Lifecycle(redis, [QUEUE], "other", "b" * 16, 30.0)
        self.scripts: dict[str, Breakable] = {}
        for scripts in (self.ours._scripts, self.ours._gate._scripts):
            for name, script in scripts.items():
                scripts[name] = self.scripts[name] = Breakable(redis, script)
        self.sent: Counter[str] = Counter()
        """How often each mail went out."""

    def claim(self, lifecycle: Lifecycle | None = None) -> list[Claim]:
        return (lifecycle or self.ours).claim(20)[0]

    def send(self, lifecycle: Lifecycle, claims: list[Claim]) -> None:
        for claim in claims:
            self.sent[claim.lease.job_id] += 1
            assert lifecycle.settle([ending(claim.lease, "sent")], clock=0) == ["done"]

    def other_works(self) -> None:
        """Another worker does what it does all the time."""
        self.other.promote()
        self.send(self.other, self.claim(self.other))

    def adopt(self) -> list[Claim]:
        """Take on what a claim without an answer took, as the dispatcher does."""
        standing = self.ours.renew(self.ours.held())
        return [claim for claim in map(self.ours.adopt, standing) if claim]

    def ours_is_lost(self) -> None:
        """Let all leases run out, and the other worker find them."""
        for member in self.redis.zrange(LEASES, 0, -1):
            self.redis.zadd(LEASES, {member: 1.0}, xx=True)
        for found in self.other.reclaim():
            self.other.settle([ending(found.lease, "back", overdue=True)], clock=0)

    def put_right(self) -> None:
        """Do what runs anyway, and let every mail that is due be sent."""
        self.ours_is_lost()
        self.other_works()
        self.other_works()
        Sweep(self.redis, QUEUE).run()
        list(Audit(self.redis, QUEUE, RetryPolicy(), wait=0).run(repair=True))
        self.other_works()
        assert list(Audit(self.redis, QUEUE, RetryPolicy(), wait=0).run()) == []

    def places(self) -> dict[str, list[str]]:
        """Return the places of every job."""
        found: dict[str, list[str]] = {
            key.decode().removeprefix(KEYS.job_prefix): []
            for key in self.redis.scan_iter(f"{KEYS.job_prefix}*")
        }
        for place, key_of in PLACES.items():
            read = self.redis.lrange if place == "queued" else self.redis.zrange
            for member in read(key_of(QUEUE), 0, -1):
                found.setdefault(member.decode().partition(":")[0], []).append(place)
        return found

    def check(self, expected: dict[str, str]) -> None:
        """Assert where each mail stands, and that nothing else is left."""
        assert self.places() == {job_id: [place] for job_id, place in expected.items()}
        for job_id, place in expected.items():
            assert self.redis.hget(KEYS.job(job_id), "status") == place.encode()
            expires = self.redis.ttl(KEYS.job(job_id)) >= 0
            assert expires == (place in ("finished", "failed")), f"{job_id}: {place}"
        assert self.redis.zcard(LEASES) == 0
        assert self.redis.keys("rq:execution*") == []

    def broken_off(self, script: Breakable, number: int, act: Callable[[], Any]) -> bool:
        """Let a script break off; tell whether its caller heard of it."""
        script.at = number
        try:
            act()
        except ResponseError as exc:
            if not is_denied(exc):
                raise
            return True
        return False
