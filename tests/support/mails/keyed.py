"""One mail with a key, and what may become of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses import IdempotencyConflict, Outbox, Receipt, contract
from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.records import Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail

JOB_ID = contract.keyed_job_id("mail", "k")
JOB = KEYS.job(JOB_ID)
LIST = KEYS.queue("mail")


def registry(kind: str) -> str:
    return KEYS.registry(kind, "mail")


class Keyed:
    """One mail with a key, and what may become of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.outbox = Outbox(redis)
        self.worker = Lifecycle(redis, ["mail"], "w", "e" * 16, 30.0)

    def send(self, subject: str = "Hi", **options: Any) -> Receipt:
        return self.outbox.send(mail(subject=subject), key="k", **options)

    def settle(self, action: Any, fields: dict[str, Any]) -> str:
        [claim], _ = self.worker.claim(1)
        now = datetime.now(UTC)
        [word] = self.worker.settle(
            [Settlement(claim.lease, action, now, {"attempts": 1}, fields, time.monotonic())],
            clock=time.monotonic(),
        )
        return word

    def fail(self) -> None:
        self.settle("failed", failed_fields("MessageRejected: no"))

    def audit(self, *, repair: bool = False) -> list[Report]:
        return list(Audit(self.redis, "mail", RetryPolicy(), wait=0).run(repair=repair))

    def sweep(self) -> int:
        return Sweep(self.redis, "mail").run()

    def expires(self) -> bool:
        return self.redis.ttl(JOB) >= 0

    def is_taken_care_of(self) -> None:
        """The key answers with the first mail, and stands for that alone."""
        before = (self.redis.hgetall(JOB), self.redis.lrange(LIST, 0, -1))
        assert self.send() == Receipt(JOB_ID, duplicate=True)
        with pytest.raises(IdempotencyConflict):
            self.send("Another")
        assert (self.redis.hgetall(JOB), self.redis.lrange(LIST, 0, -1)) == before

    def is_free(self, subject: str = "Another") -> None:
        """The key takes another mail, which is sent; nothing is left of the first."""
        assert self.send(subject) == Receipt(JOB_ID)
        assert self.audit() == []
        assert self.redis.zscore(registry("canceled"), JOB_ID) is None
        assert self.settle("sent", sent_fields({"message_id": "second"})) == "done"
        assert fetch(self.redis, JOB_ID).return_value() == {"message_id": "second"}
        assert len(fetch(self.redis, JOB_ID).results()) == 1
