"""Campaigns under way: how they stand, and what becomes of their jobs when they are held or called back."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Outbox
from rq_ses.campaign import Campaign, CampaignNotFound, Campaigns, Entry, Template
from rq_ses.contract import FLOW_NAMES
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.audit.campaigns.audit import CampaignAudit
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.breaking import Breakable, each_break
from support.mails.keys import KEYS

BULK = "mail-bulk"
LIST, DEFERRED, SCHEDULED, CANCELED, FAILED = (
    KEYS.queue(BULK), *(KEYS.registry(kind, BULK) for kind in ("deferred", "scheduled", "canceled", "failed"))
)  # fmt: skip


def send(redis: Redis, count: int, name: str = "spring") -> list[str]:
    template = Template(subject="Hi", text="there")
    campaign = Campaign(name=name, sender="shop@example.com", template=template)
    Outbox(redis).send_bulk(campaign, (Entry(f"user{n}@example.org") for n in range(count)))
    ids: Any = redis.lrange(LIST, 0, -1)
    return [one.decode() for one in ids]


def held(redis: Redis, job_id: str) -> None:
    """Let a job be held, as claim does while its campaign is paused."""
    redis.zadd(DEFERRED, {job_id: "inf"})
    redis.hset(KEYS.job(job_id), "status", "deferred")
    redis.lrem(LIST, 0, job_id)


def failed(redis: Redis, job_id: str, *, ambiguous: bool) -> None:
    last = {
        "outcome": "terminal",
        "code": "MessageRejected",
        "message": "no",
        "status": 400,
        "ambiguous": ambiguous,
    }
    meta = json.dumps({"last_outcome": last, "ambiguous": int(ambiguous), "attempts": 1})
    exc = "MessageRejected (HTTP 400): no"
    redis.zadd(FAILED, {job_id: 4e9})
    redis.hset(KEYS.job(job_id), mapping={"status": "failed", "meta": meta, "exc_info": exc})
    redis.lrem(LIST, 0, job_id)


def status(redis: Redis, job_id: str) -> str:
    found: Any = redis.hget(KEYS.job(job_id), "status")
    return str(found.decode())


def paused(redis: Redis, number: int) -> tuple[Any, list[str]]:
    """Return campaigns whose script breaks off at its `number`th call, and the jobs of one that is paused."""
    ids = send(redis, 150)
    campaigns: Any = Campaigns(connection=redis)
    campaigns.pause("spring")
    for job_id in ids:
        held(redis, job_id)
    campaigns._follow = Breakable(redis, campaigns._follow)
    campaigns._follow.at = number
    return campaigns, ids


def test_entries_are_counted_by_what_became_of_them(redis: Redis) -> None:
    first, second, *_ = send(redis, 320)
    send(redis, 60, "other")
    failed(redis, first, ambiguous=False)
    failed(redis, second, ambiguous=True)
    redis.hset(KEYS.campaign("spring"), mapping={"sent": 100, "canceled": 7, "discarded": 3})
    with_numbers = Campaigns(connection=redis).status("spring")
    numbers = [getattr(with_numbers, name) for name in ("enqueued", "sent", "failed", "unknown", "waiting")]
    assert numbers == [320, 100, 50, 50, 110]
    assert (with_numbers.canceled, with_numbers.discarded) == (7, 3)
    assert (with_numbers.state, with_numbers.complete) == ("sending", True)
    assert 0 <= (with_numbers.changed_at - with_numbers.created_at).total_seconds() < 60
    redis.hset(KEYS.campaign("spring"), mapping={"sent": 210})
    assert Campaigns(connection=redis).status("spring").state == "sent"
    assert Campaigns(connection=redis).list() == ["other", "spring"]


def test_the_end_is_estimated_by_the_rate_of_the_only_account_that_workers_name(redis: Redis) -> None:
    send(redis, 500)
    flow = dict.fromkeys(FLOW_NAMES, 0.0) | {"rate": 10.0, "answered": 1.0}
    redis.hset(KEYS.account("default", "eu-west-1"), "flow", struct.pack(f">{len(flow)}d", *flow.values()))
    campaigns = Campaigns(connection=redis)
    assert campaigns.status("spring").seconds_left is None
    redis.sadd(KEYS.workers, "rq:worker:w")
    redis.hset("rq:worker:w", "rq_ses_account", "default:eu-west-1")
    found = campaigns.status("spring")
    assert (found.rate, found.seconds_left) == (10.0, 50.0)
    assert Campaigns(connection=redis, account="other", region="eu-west-1").status("spring").rate is None
    assert campaigns.pause("spring").seconds_left is None


def test_a_campaign_that_goes_on_has_its_jobs_back_in_the_queue(redis: Redis) -> None:
    ids = send(redis, 200)
    other = send(redis, 10, "other")[-1]
    campaigns = Campaigns(connection=redis)
    assert campaigns.pause("spring").state == "paused"
    for job_id in (*ids[:3], other):
        held(redis, job_id)
    assert campaigns.resume("spring").state == "sending"
    assert [one.decode() for one in redis.lrange(LIST, 0, -1)] == [ids[3], *sorted(ids[:3])]
    assert {status(redis, job_id) for job_id in ids} == {"queued"}
    assert redis.zrange(DEFERRED, 0, -1) == [other.encode()]


@pytest.mark.parametrize("claimed_between", [False, True])
def test_jobs_that_go_back_are_sent_once_wherever_that_breaks_off(
    redis: Redis, claimed_between: bool
) -> None:
    def claims() -> list[str]:
        lifecycle = Lifecycle(redis, [BULK], "tests", "aaaaaaaa", 30.0)
        return [found[0][0].lease.job_id for _ in range(8) if (found := lifecycle.claim(1))[0]]

    def act(number: int) -> None:
        campaigns, ids = paused(redis, number)
        with suppress(ResponseError):
            campaigns.resume("spring")
        between = claims() if claimed_between else []
        campaigns.resume("spring")
        assert sorted(between + claims()) == sorted(ids)
        assert redis.exists(LIST, DEFERRED) == 0

    assert each_break(redis, act) > 8


def test_jobs_that_are_called_back_are_sent_by_nobody_wherever_that_breaks_off(redis: Redis) -> None:
    def act(number: int) -> None:
        ids = send(redis, 150)
        held(redis, ids[0])
        redis.zadd(SCHEDULED, {ids[1]: 4e9})
        redis.hset(KEYS.job(ids[1]), "status", "scheduled")
        redis.lrem(LIST, 0, ids[1])
        campaigns: Any = Campaigns(connection=redis)
        campaigns._follow = Breakable(redis, campaigns._follow)
        campaigns._follow.at = number
        with suppress(ResponseError):
            campaigns.cancel("spring")
        # Fewer may be counted: audit mends that.
        assert campaigns.cancel("spring").canceled <= 150
        assert {status(redis, job_id) for job_id in ids} == {"canceled"}
        assert redis.zcard(CANCELED) == 3
        assert redis.exists(DEFERRED, SCHEDULED) == 0
        assert Lifecycle(redis, [BULK], "tests", "aaaaaaaa", 30.0).claim(1)[0] == []

    assert each_break(redis, act) > 8


@pytest.mark.parametrize("act_on", ["resume", "cancel"])
def test_what_breaks_off_and_is_not_done_again_is_put_right_by_an_audit(redis: Redis, act_on: str) -> None:
    def act(number: int) -> None:
        campaigns, ids = paused(redis, number)
        with suppress(ResponseError):
            getattr(campaigns, act_on)("spring")
        for _ in range(2):
            list(Audit(redis, BULK, RetryPolicy(), wait=0).run(repair=True))
            list(CampaignAudit(redis, wait=0).run(repair=True))
        Lifecycle(redis, [BULK], "tests", "aaaaaaaa", 30.0).claim(8)
        assert redis.exists(LIST, DEFERRED) == 0
        assert {status(redis, job_id) for job_id in ids} == {"started" if act_on == "resume" else "canceled"}
        assert campaigns.status("spring").waiting == (150 if act_on == "resume" else 0)

    assert each_break(redis, act) > 8


def test_a_campaign_is_found_in_whichever_queue_it_was_sent_to(redis: Redis) -> None:
    template = Template(subject="Hi", text="there")
    campaign = Campaign(name="spring", sender="shop@example.com", template=template)
    Outbox(redis, "news").send_bulk(campaign, [Entry(f"user{n}@example.org") for n in range(120)])
    queue, deferred, failed_ones = (
        KEYS.queue("news-bulk"), KEYS.registry("deferred", "news-bulk"), KEYS.registry("failed", "news-bulk")
    )  # fmt: skip
    first, second, third = [one.decode() for one in redis.lrange(queue, 0, -1)]
    redis.lpop(queue, 2)
    redis.zadd(deferred, {first: "inf"})
    redis.hset(KEYS.job(first), "status", "deferred")
    redis.zadd(failed_ones, {second: 4e9})
    redis.hset(KEYS.job(second), "status", "failed")
    campaigns = Campaigns(connection=redis)
    campaigns.pause("spring")
    found = campaigns.resume("spring")
    assert (found.unknown, found.waiting) == (50, 70)
    assert [one.decode() for one in redis.lrange(queue, 0, -1)] == [third, first]
    assert campaigns.cancel("spring").canceled == 70


def test_what_waits_of_a_canceled_campaign_is_canceled_and_nothing_else(redis: Redis) -> None:
    ids = send(redis, 200)
    other = send(redis, 10, "other")[-1]
    held(redis, ids[0])
    failed(redis, ids[1], ambiguous=False)
    redis.hset(KEYS.job(ids[2]), "status", "started")
    found = Campaigns(connection=redis).cancel("spring")
    assert (found.state, found.canceled, found.failed, found.waiting) == ("canceled", 100, 50, 50)
    assert [status(redis, job_id) for job_id in (*ids, other)] == [
        "canceled", "failed", "started", "canceled", "queued"
    ]  # fmt: skip
    assert {one.decode() for one in redis.zrange(CANCELED, 0, -1)} == {ids[0], ids[3]}
    assert redis.zcard(DEFERRED) == 0
    assert redis.ttl(KEYS.job(ids[0])) > 0
    again = Campaigns(connection=redis).resume("spring")
    assert (again.state, again.canceled) == ("canceled", 100)


def test_each_partition_is_looked_at(redis: Redis) -> None:
    campaign = Campaign(
        name="spring", sender="shop@example.com", template=Template(subject="Hi", text="there")
    )
    prefixes = "{a},{b}"
    Outbox(redis, partitions=prefixes).send_bulk(campaign, (Entry(f"u{n}@example.org") for n in range(300)))
    campaigns = Campaigns(connection=redis, partitions=prefixes)
    assert campaigns.status("spring").enqueued == 300
    found = campaigns.cancel("spring")
    assert (found.canceled, found.waiting, campaigns.list()) == (300, 0, ["spring"])


def test_a_campaign_that_nobody_knows_is_an_error(redis: Redis) -> None:
    campaigns = Campaigns(connection=redis)
    for act in (campaigns.status, campaigns.pause, campaigns.resume, campaigns.cancel):
        with pytest.raises(CampaignNotFound, match="campaign spring: nothing is known of it"):
            act("spring")
        with pytest.raises(ValueError, match="is not the name of a campaign"):
            act("a/b")
    assert redis.keys() == []
