"""Bulk jobs of dead workers: in doubt is who may have been in a request, and nobody else."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses.campaign import Template
from rq_ses_worker.engine.bulk.fates import shed
from rq_ses_worker.lifecycle.records import Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.task import read_job
from support.bulk.desk import BulkClient, Desk, addresses, campaign, enqueue, lose, places, store

LOCAL = Template(subject="For {{ name }}", text="Dear {{ name }}", engine="jinja2")


def meta_of(redis: Redis, job_id: str) -> Any:
    return json.loads(redis.hget(f"rq:job:{job_id}", "meta") or b"{}")


@pytest.mark.parametrize(
    ("entries", "terms", "engine", "place"),
    [
        (11, {"on_unknown": "hold"}, "ses", "queued"),
        (10, {"on_unknown": "hold"}, "ses", "failed"),
        (2, {"template": LOCAL}, "jinja2", "queued"),
        (1, {"template": LOCAL}, "jinja2", "failed"),
        # Its worker may have had other settings than we have: it may have sent all.
        (50, {}, "ses", "failed"),
    ],
)
def test_a_job_with_more_entries_than_a_request_has_not_been_sent(
    redis: Redis, entries: int, terms: dict[str, Any], engine: str, place: str
) -> None:
    given = campaign(**terms)
    store(redis, given, engine=engine)
    job_id = enqueue(redis, given, addresses(entries))
    desk = Desk(redis, BulkClient(), RetryPolicy(on_unknown="hold"))
    assert desk.claim()
    lose(redis, Desk(redis, BulkClient(), desk.policy, name="other"))
    assert places(redis) == {to: [place] for to in addresses(entries)}
    meta = meta_of(redis, job_id)
    assert (meta["attempts"], meta["ambiguous"]) == (1, int(place == "failed"))


def test_a_job_that_kills_its_workers_before_they_send_it_fails_some_time(redis: Redis) -> None:
    given = campaign(template=LOCAL)
    store(redis, given, engine="jinja2")
    job_id = enqueue(redis, given, addresses(2))
    desk = Desk(redis, BulkClient(), RetryPolicy(max_attempts=2))
    for _ in range(2):
        assert desk.claim()
        lose(redis, Desk(redis, BulkClient(), desk.policy, name="other"))
    assert places(redis) == {to: ["failed"] for to in addresses(2)}
    assert meta_of(redis, job_id)["ambiguous"] == 0


def test_what_its_worker_has_shed_meanwhile_is_not_given_back_as_unsent(redis: Redis) -> None:
    given = campaign(template=LOCAL)
    store(redis, given, engine="jinja2")
    enqueue(redis, given, addresses(2))
    desk = Desk(redis, BulkClient())
    [claim] = desk.claim()
    task = read_job(claim.data)
    assert task.bulk
    found = Settlement(claim.lease, "back", datetime.now(UTC), {"attempts": 1}, {"entries": 2}, overdue=True)
    assert desk.lifecycle.dividing.shed(claim.lease, shed(task.bulk, {}, 1, 1))
    redis.zadd("rq:ses:leases:mail-bulk", {claim.lease.member: 1.0})
    assert desk.lifecycle.settle([found], clock=time.monotonic()) == ["lost"]
    assert places(redis) == {"to-0@example.com": ["started"], "to-1@example.com": ["queued"]}
