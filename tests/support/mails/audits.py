"""Where a mail stands, and what an audit says of it."""

from __future__ import annotations

import time
from typing import Any

from redis import Redis

from rq_ses_worker.audit.audit import Audit, Report
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS

LIST, WIP, LEASES = (
    KEYS.queue("mail"),
    KEYS.registry("wip", "mail"),
    KEYS.leases("mail"),
)
INTERMEDIATE = f"{LIST}:intermediate"
PREFIX = "a" * 16


def look(redis: Redis, *, repair: bool = False, on_unknown: Any = "resend") -> list[Report]:
    return list(Audit(redis, "mail", RetryPolicy(on_unknown=on_unknown), wait=0).run(repair=repair))


def mended(redis: Redis, **options: Any) -> Report:
    """Find exactly one thing, mend it, and find nothing more."""
    [found] = look(redis)
    assert found.done == ""
    [report] = look(redis, repair=True, **options)
    assert report.done
    assert report.found == found.found
    assert look(redis) == []
    return report


def places(redis: Redis, job_id: str) -> list[str]:
    found = ["queue"] * redis.lrange(LIST, 0, -1).count(job_id.encode())
    found += ["intermediate"] * redis.lrange(INTERMEDIATE, 0, -1).count(job_id.encode())
    for name in ("scheduled", "finished", "failed", "canceled", "deferred"):
        if redis.zscore(KEYS.registry(name, "mail"), job_id) is not None:
            found.append(name)
    for name, key in (("wip", WIP), ("leases", LEASES)):
        found += [name for member in redis.zrange(key, 0, -1) if member.startswith(job_id.encode() + b":")]
    return found


def settle(lifecycle: Lifecycle, settlement: Settlement) -> None:
    assert lifecycle.settle([settlement], clock=time.monotonic()) == ["done"]
