"""Claims of bulk jobs: paused and canceled campaigns, the account's gate, and turns."""

from __future__ import annotations

from itertools import pairwise

import pytest
from redis import Redis

from rq_ses import Outbox, Submission
from rq_ses.contract import queue_names
from rq_ses.keys import keys_of
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.account.grants import Grants
from rq_ses_worker.engine.claiming.partition import PartitionLifecycle
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.account import Account
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    Desk,
    addresses,
    campaign,
    counts,
    enqueue,
    places,
    store,
)
from support.mails.mail import mail


def account(**numbers: float) -> Account:
    """Return what SES tells of a healthy account."""
    limits = {"max_24_hour_send": -1, "sent_last_24_hours": 0, **numbers}
    return Account(**limits, sending_enabled=True, production_access=True, enforcement_status="HEALTHY")


def test_jobs_of_a_paused_campaign_are_deferred_and_others_go_on(redis: Redis) -> None:
    store(redis, campaign(), state="paused")
    store(redis, campaign(name="other"))
    for number in range(1200):
        enqueue(redis, campaign(), addresses(1, number), number=number)
    enqueue(redis, campaign(name="other"), addresses(3))
    desk = Desk(redis, BulkClient())
    [claim] = desk.claim(4)
    assert claim.granted == 3
    assert redis.zcard(keys_of(redis).registry("deferred", QUEUE)) == 1200
    assert redis.llen(keys_of(redis).queue(QUEUE)) == 0
    assert desk.lifecycle.view.refusal == ""
    assert places(redis)["to-1199@example.com"] == ["deferred"]
    assert counts(redis) == (1200, 0, 0)


def test_jobs_of_a_canceled_campaign_are_canceled_and_counted(redis: Redis) -> None:
    store(redis, campaign(), state="canceled")
    enqueue(redis, campaign(), addresses(7), number=1)
    enqueue(redis, campaign(), addresses(5, 7), number=2)
    assert Desk(redis, BulkClient()).claim() == []
    assert places(redis) == {to: ["canceled"] for to in addresses(12)}
    assert counts(redis) == (12, 0, 12)


def test_a_campaign_without_a_record_is_sent(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(2))
    redis.delete(keys_of(redis).campaign(NAME))
    desk = Desk(redis, BulkClient())
    desk.work()
    assert sum(desk.client.sent.values()) == 2
    assert not redis.exists(keys_of(redis).campaign(NAME))


def test_a_probe_is_one_entry_and_the_others_wait_in_front(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(20))
    redis.hset(keys_of(redis).account("default", "unknown"), mapping={"state": "open", "next_probe": 0})
    desk = Desk(redis, BulkClient())
    [claim] = desk.claim(5)
    assert (claim.probe, claim.granted) == (True, 1)
    assert desk.settle(desk.attempt(claim)) == "done"
    assert desk.lifecycle.gate_state().breaker == "closed"
    assert desk.client.requests == [addresses(1)]
    desk.work()
    assert desk.client.requests[1:] == [addresses(19, 1)]


@pytest.mark.parametrize(("rate", "granted"), [(0.5, 1), (3, 1), (14, 7), (90, 45), (5000, 50)])
def test_the_gate_grants_what_the_rate_allows_in_half_a_second(
    redis: Redis, rate: float, granted: int
) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(50))
    [claim] = Desk(redis, BulkClient(), gate=GatePolicy(max_send_rate=rate)).claim()
    assert claim.granted == granted


@pytest.mark.parametrize(("rate", "granted"), [(14, 7), (5000, 50)])
def test_a_partition_is_granted_as_much(redis: Redis, rate: float, granted: int) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(50))
    grants = Grants(redis, GatePolicy(max_send_rate=rate), 30.0)
    [claim], _ = PartitionLifecycle(redis, [QUEUE], "w", "w" * 8, 30.0, grants).claim(4)
    assert claim.granted == granted
    assert redis.hget(keys_of(redis).campaign(NAME), "state") == b"sending"


def test_a_partition_that_learns_the_rate_begins_by_it_however_many_jobs_wait(redis: Redis) -> None:
    store(redis, campaign())
    for number in range(8):
        enqueue(redis, campaign(), addresses(50, 50 * number), number=number)
    grants = Grants(redis, GatePolicy(), 30.0, asks=True)
    lifecycle = PartitionLifecycle(redis, [QUEUE], "w", "w" * 8, 30.0, grants)
    assert lifecycle.claim(8)[0] == []
    lifecycle.learn(account(max_send_rate=14), ask_again=300)
    assert [claim.granted for claim in lifecycle.claim(8)[0]] == [7]


def test_a_job_whose_claim_had_no_answer_sends_one_entry_for_nobody_knows_what_was_granted(
    redis: Redis,
) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(50))
    desk = Desk(redis, BulkClient(), gate=GatePolicy(max_send_rate=14))
    [claim] = desk.claim()
    adopted = desk.lifecycle.adopt(claim.lease)
    assert adopted == claim._replace(granted=1)
    desk.settle(desk.attempt(adopted))
    assert desk.client.requests == [addresses(1)]
    assert places(redis) == {
        to: ["finished" if to == "to-0@example.com" else "queued"] for to in addresses(50)
    }


def test_what_is_left_of_the_day_is_sent_of_a_bulk_job(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(50))
    desk = Desk(redis, BulkClient(), gate=GatePolicy(max_send_rate=1e6))
    told = account(max_send_rate=1e6, max_24_hour_send=100, sent_last_24_hours=88)
    desk.lifecycle.learn(told, ask_again=300)
    [claim] = desk.claim()
    assert claim.granted == 12


def test_settings_bound_a_request(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(50))
    desk = Desk(redis, BulkClient(), gate=GatePolicy(max_send_rate=1e6, bulk_size=20))
    desk.work()
    assert [len(request) for request in desk.client.requests] == [20, 20, 10]


def test_a_campaign_that_is_rendered_here_is_granted_one_entry_at_a_time(redis: Redis) -> None:
    store(redis, campaign(), engine="jinja2")
    enqueue(redis, campaign(), addresses(5))
    [claim] = Desk(redis, BulkClient()).claim()
    assert claim.granted == 1


def test_turns_count_recipients(redis: Redis) -> None:
    """Of every eight recipients one is of a lower queue, however many a bulk job has."""
    names = queue_names("mail")
    outbox = Outbox(connection=redis)
    store(redis, campaign())
    for number in range(4):
        enqueue(redis, campaign(), addresses(50, 50 * number), number=number)
    outbox.send_many([Submission(mail(), priority="high") for _ in range(800)])
    outbox.send_many([mail() for _ in range(200)])
    lifecycle = Lifecycle(redis, names, "w", "w" * 8, 30.0)
    order: list[int] = []
    for _ in range(100):
        claims, _ = lifecycle.claim(10)
        order += [claim.lease.queue for claim in claims]
    high = [place for place, queue in enumerate(order) if queue == 0]
    jobs = [place for place, queue in enumerate(order) if queue == 2]
    before = order[: high[699]]
    assert len(jobs) >= 1
    assert before.count(2) <= 3  # 700 urgent ones are owed 100 others, and a job has 50
    assert before.count(1) >= 40  # and those in between aren't starved for it
    gaps = [later - earlier for earlier, later in pairwise(jobs)]
    assert all(gap > 300 for gap in gaps[:1])
