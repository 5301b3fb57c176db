"""Campaigns that have ended are forgotten as a whole, and none before its time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.campaign import Campaign
from rq_ses.campaign.bulkjob import encode_terms
from rq_ses_worker.audit.campaigns.sweep import KEPT, CampaignSweep
from support.mails.breaking import Breakable, each_break
from support.mails.campaigns import campaign, entries, queue_entries
from support.mails.keys import KEYS

SALE = campaign()
RECORD = KEYS.campaign("sale")
TERMS = KEYS.terms(encode_terms(SALE).hash)


def ended(redis: Redis, whose: Campaign = SALE, **fields: str | int) -> None:
    """Leave a campaign of five entries as it is when all were sent, long ago."""
    redis.delete(KEYS.job(queue_entries(redis, whose, entries(5))))
    redis.delete(KEYS.queue("mail-bulk"), KEYS.queues)
    changed = {"sent": 3, "canceled": 1, "discarded": 1, "changed_at": time.time() - KEPT - 60}
    redis.hset(KEYS.campaign(whose.name), mapping={**changed, **fields})


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
        {"changed_at": time.time() - KEPT + 600},
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

    assert each_break(redis, act) > 20
