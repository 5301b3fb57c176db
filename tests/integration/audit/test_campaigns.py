"""Campaigns that have ended are forgotten as a whole; and what does not fit together is found, and mended."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.campaign import Campaign
from rq_ses.campaign.bulkjob import encode_terms
from rq_ses_worker.audit.campaigns.audit import CampaignAudit
from rq_ses_worker.audit.campaigns.sweep import KEPT, CampaignSweep
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.campaigns.standing import BULK, campaign, counts, entries, fail_entries, queue_entries
from support.mails.breaking import Breakable, each_break
from support.mails.keys import KEYS
from support.mails.mail import status

SALE = campaign()
RECORD = KEYS.campaign("sale")
TERMS = KEYS.terms(encode_terms(SALE).hash)


LATELY = "lately"
"""Not long enough ago: from when the test runs on."""


def ended(redis: Redis, whose: Campaign = SALE, **fields: str | int) -> None:
    """Leave a campaign of five entries as it is when all were sent, long ago."""
    redis.delete(KEYS.job(queue_entries(redis, whose, entries(5))))
    redis.delete(KEYS.queue("mail-bulk"), KEYS.queues)
    changed = {"sent": 3, "canceled": 1, "discarded": 1, "changed_at": time.time() - KEPT - 60, **fields}
    if changed["changed_at"] == LATELY:
        changed["changed_at"] = time.time() - KEPT + 60
    redis.hset(KEYS.campaign(whose.name), mapping=changed)


def test_one_that_has_ended_is_forgotten_as_a_whole(redis: Redis) -> None:
    ended(redis)
    assert CampaignSweep(redis).run() == 1
    assert redis.keys("*") == []
    assert CampaignSweep(redis).run() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"sent": 2},
        {"sent": "?"},
        {"complete": "0"},
        {"changed_at": LATELY},
        {"changed_at": "?"},
        {"writing": "1:abc"},
        {"state": "paused", "complete": ""},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_one_that_has_not_surely_ended_stays(redis: Redis, fields: dict[str, str | int]) -> None:
    ended(redis, **fields)
    before = sorted(redis.keys("*"))
    assert CampaignSweep(redis).run() == 0
    assert sorted(redis.keys("*")) == before


def test_one_that_was_canceled_before_it_was_complete_has_ended(redis: Redis) -> None:
    ended(redis, state="canceled", complete="")
    assert CampaignSweep(redis).run() == 1


def test_terms_stay_as_long_as_another_campaign_has_them(redis: Redis) -> None:
    other = campaign("other")
    ended(redis)
    ended(redis, other, changed_at=time.time())
    assert CampaignSweep(redis).run() == 1
    assert not redis.exists(RECORD)
    assert redis.exists(TERMS, KEYS.campaign("other")) == 2
    redis.hset(KEYS.campaign("other"), "changed_at", 1)
    assert CampaignSweep(redis).run() == 1
    assert redis.keys("*") == []


def test_a_name_without_a_record_is_dropped(redis: Redis) -> None:
    redis.sadd(KEYS.campaigns, "sale")
    assert CampaignSweep(redis).run() == 0
    assert redis.keys("*") == []


def test_a_sweep_that_breaks_off_is_made_again_and_leaves_terms_at_most(redis: Redis) -> None:
    def act(number: int) -> None:
        ended(redis)
        sweep: Any = CampaignSweep(redis)
        sweep._script = Breakable(redis, sweep._script)
        sweep._script.at = number
        with suppress(ResponseError):
            sweep.run()
        # With the record, or without either: entries are never known where the campaign isn't.
        index = redis.keys(f"{RECORD}:*")
        assert redis.exists(RECORD) or not index
        sweep.run()
        assert set(redis.keys("*")) <= {TERMS.encode(), b"breaking:calls"}

    assert each_break(redis, act) > 6


# What doesn't fit together


def found(redis: Redis, *, repair: bool = False) -> list[tuple[str, str, str]]:
    reports = CampaignAudit(redis, wait=0).run(repair=repair)
    return [(one.what, one.found, one.done) for one in reports]


@pytest.fixture
def job(redis: Redis) -> str:
    """A campaign of five entries that wait."""
    return queue_entries(redis, SALE, entries(5))


def test_campaigns_in_order_have_nothing_to_report(redis: Redis, job: str) -> None:
    fail_entries(redis, campaign("other"), entries(3))
    redis.hset(KEYS.campaign("other"), mapping={"enqueued": 10, "sent": 4, "canceled": 2, "discarded": 1})
    ended(redis, campaign("done"))
    assert found(redis, repair=True) == []


def test_without_campaigns_no_job_is_read_for_them(redis: Redis) -> None:
    redis.hset(KEYS.job("a"), "status", "queued")
    looked: list[int] = []
    assert list(CampaignAudit(redis, wait=0, tell=looked.append).run()) == []
    assert looked == []


@pytest.mark.parametrize(
    ("fields", "said", "then"),
    [
        ({"enqueued": 9}, "4 entries in no job", {"enqueued": 9, "discarded": 4}),
        ({"enqueued": 4}, "its jobs have 1 entry more than it counts", {"enqueued": 5}),
        ({"sent": 7}, "its jobs have 7 entries more", {"enqueued": 12, "sent": 7}),
        ({"sent": "-1"}, "sent is '-1', which is no number", {"enqueued": 5}),
        ({"enqueued": "x"}, "enqueued is 'x', which is no number", {"enqueued": 5}),
    ],
)
def test_counts_that_cant_be_true_are_mended(
    redis: Redis, job: str, fields: dict[str, str], said: str, then: dict[str, int]
) -> None:
    redis.hset(RECORD, mapping=fields)
    [(what, words, done)] = found(redis)
    assert (what, done) == ("campaign sale", "")
    assert said in words
    [(_, _, done)] = found(redis, repair=True)
    assert done
    assert counts(redis) == then
    assert found(redis) == []


def test_a_state_that_is_none_is_made_one(redis: Redis, job: str) -> None:
    redis.hset(RECORD, "state", "<b>")
    [(_, words, done)] = found(redis, repair=True)
    assert (words, done) == ("its state is '<b>', which is none", "what was none is made anew")
    assert redis.hget(RECORD, "state") == b"sending"


@pytest.mark.parametrize("moving", ["started", "writing", "counted"])
def test_a_campaign_in_motion_is_left_alone(redis: Redis, job: str, moving: str) -> None:
    redis.hset(RECORD, "enqueued", 9)
    if moving == "started":
        Lifecycle(redis, [BULK], "tests", "aaaaaaaa", 30.0).claim(1)
    elif moving == "writing":
        redis.hset(RECORD, "writing", "2:abc")
    audit: Any = CampaignAudit(redis, wait=0)
    look = audit._looking.look

    def counting() -> Any:
        seen = look()
        if moving == "counted":
            redis.hincrby(RECORD, "sent", 1)
        return seen

    audit._looking.look = counting
    assert list(audit.run(repair=True)) == []
    assert "discarded" not in counts(redis)


def test_a_repair_is_made_only_while_the_record_says_what_was_seen(redis: Redis, job: str) -> None:
    redis.hset(RECORD, "enqueued", 9)
    audit: Any = CampaignAudit(redis, wait=0)
    script = audit._script

    def meanwhile(**arguments: Any) -> Any:
        redis.hincrby(RECORD, "sent", 1)
        return script(**arguments)

    audit._script = meanwhile
    assert [one.done for one in audit.run(repair=True)] == [""]
    assert counts(redis) == {"enqueued": 9, "sent": 1}


def test_jobs_whose_terms_are_missing_are_told_loudly(redis: Redis, job: str) -> None:
    redis.delete(TERMS)
    [(what, words, done)] = found(redis, repair=True)
    assert (what, done) == ("campaign sale", "")
    assert "are missing, and 5 entries need them: send the campaign again under its name" in words
    redis.delete(RECORD)
    [(_, words, done)] = found(redis, repair=True)
    assert done == ""
    assert "has no record, but jobs with 5 entries, and their terms" in words


def test_a_record_that_is_lost_is_written_anew(redis: Redis, job: str) -> None:
    redis.delete(RECORD, KEYS.campaigns)
    [(_, words, done)] = found(redis, repair=True)
    assert (words, done) == ("has no record, but jobs with 5 entries", "its record is written anew")
    assert counts(redis) == {"enqueued": 5}
    assert redis.hmget(RECORD, "queue", "terms", "state") == [
        BULK.encode(),
        encode_terms(SALE).hash.encode(),
        b"sending",
    ]
    assert redis.smembers(KEYS.campaigns) == {b"sale"}
    assert found(redis) == []


def test_names_and_records_that_miss_each_other_are_brought_together(redis: Redis, job: str) -> None:
    redis.srem(KEYS.campaigns, "sale")
    redis.sadd(KEYS.campaigns, "ghost")
    assert [(what, done) for what, _, done in found(redis, repair=True)] == [
        ("campaign ghost", "its name is removed"),
        ("campaign sale", "named again"),
    ]
    assert redis.smembers(KEYS.campaigns) == {b"sale"}


def test_terms_that_nobody_has_are_deleted_and_those_of_a_job_are_not(redis: Redis, job: str) -> None:
    lost = encode_terms(campaign("lost", tags={"a": "b"}))
    redis.set(KEYS.terms(lost.hash), lost.data)
    # A job of other terms than its campaign has by now.
    other = queue_entries(redis, campaign("other", tags={"c": "d"}), entries(1))
    redis.hset(KEYS.campaign("other"), "terms", encode_terms(SALE).hash)
    assert found(redis, repair=True) == [
        (f"terms {lost.hash}", "no campaign has them, and no job", "deleted")
    ]
    assert (
        redis.exists(KEYS.terms(encode_terms(campaign("other", tags={"c": "d"})).hash), KEYS.job(other)) == 2
    )


def test_a_deferred_job_of_a_campaign_that_goes_on_is_put_back(redis: Redis, job: str) -> None:
    redis.lrem(KEYS.queue(BULK), 0, job)
    redis.hset(KEYS.job(job), "status", "deferred")
    redis.zadd(KEYS.registry("deferred", BULK), {job: 1e12})
    redis.hset(RECORD, "state", "paused")
    assert found(redis, repair=True) == []
    redis.hset(RECORD, "state", "sending")
    [(_, words, done)] = found(redis, repair=True)
    assert words == f"job {job} is deferred, but the campaign isn't paused"
    assert done == "put back into the queue"
    assert redis.lrange(KEYS.queue(BULK), 0, -1) == [job.encode()]
    assert redis.zcard(KEYS.registry("deferred", BULK)) == 0
    assert status(redis, job) == "queued"
