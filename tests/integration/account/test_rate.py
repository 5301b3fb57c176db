"""The send rate: a bucket that all workers of an account share, and what a 429 does to it."""

from __future__ import annotations

import pytest

from rq_ses import contract
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.gate import LIMITED, PAUSED, Story, learn
from support.mails.keys import KEYS

# The bucket


def test_without_a_known_rate_everything_passes(account: Story) -> None:
    account.enqueue(50)
    assert len(account.ours.claim(50)[0]) == 50
    assert account.gate.rate is None


def test_the_bucket_is_shared_and_holds_a_tenth_of_a_second(account: Story) -> None:
    learn(account.ours, 100.0)
    account.enqueue(50)
    first = len(account.ours.claim(50)[0])
    assert 10 <= first <= 12
    assert len(account.other.claim(50)[0]) <= 5
    view = account.ours.view
    account.other.claim(50)
    assert (account.other.view.refusal, account.other.view.waiting) == ("rate", True)
    assert 0 < account.other.view.wait <= 0.06
    assert view.refusal == "rate"
    left = int(account.redis.llen(KEYS.queue("mail")))
    account.passes(10)
    assert 10 <= len(account.other.claim(50)[0]) <= 12
    assert int(account.redis.llen(KEYS.queue("mail"))) < left


def test_what_the_gate_refuses_stays_queued_and_untouched(account: Story) -> None:
    learn(account.ours, 1.0)
    first, second = account.enqueue(2)
    before = account.redis.hgetall(KEYS.job(second))
    claims, dropped = account.ours.claim(2)
    assert ([claim.lease.job_id for claim in claims], dropped) == ([first], 0)
    assert account.redis.hgetall(KEYS.job(second)) == before
    assert account.redis.lrange(KEYS.queue("mail"), 0, -1) == [second.encode()]
    assert 0.9 < account.ours.view.wait <= 1.0


def test_a_heavy_mail_passes_and_leaves_the_bucket_in_debt(account: Story) -> None:
    learn(account.ours, 10.0)
    account.enqueue(2, recipients=50)
    assert len(account.ours.claim(2)[0]) == 1
    assert 4.5 < account.ours.view.wait <= 5.0
    account.passes(4.5)
    assert account.ours.claim(2)[0] == []
    account.passes(0.6)
    assert len(account.ours.claim(2)[0]) == 1


def test_a_rate_of_the_settings_goes_over_what_ses_says(account: Story) -> None:
    slow = account.worker("cccccccc", max_send_rate=1.0)
    learn(slow, 1000.0)
    account.enqueue(5)
    assert len(slow.claim(5)[0]) == 1
    assert account.gate.max_send_rate == 1.0


def test_a_number_of_recipients_that_is_none_counts_within_reason(account: Story) -> None:
    learn(account.ours, 1.0)
    ids = account.enqueue(4)
    for job_id, recipients in zip(ids, ("-5", "many", "1e300", "nan"), strict=True):
        account.redis.hset(KEYS.job(job_id), contract.RECIPIENTS_FIELD, recipients)
    for _ in ids:
        assert len(account.ours.claim(1)[0]) == 1
        account.passes(60)


def test_a_server_whose_clock_was_set_back_blocks_nothing(account: Story) -> None:
    learn(account.ours, 100.0)
    account.enqueue(30)
    account.ours.claim(5)
    account.passes(-50_000)
    assert account.ours.claim(2)[0]
    account.fails(1, PAUSED)
    account.passes(-50_000)
    assert account.ours.claim(1)[0][0].probe


def test_a_clock_set_back_by_less_than_an_hour_delays_no_probe_and_keeps_no_lowered_rate(
    account: Story,
) -> None:
    learn(account.ours, 100.0)
    account.enqueue(5)
    account.fails(1, LIMITED)
    account.passes(0.5)
    account.fails(1, PAUSED)
    account.passes(-3000)
    assert account.ours.claim(1)[0][0].probe
    assert account.gate.rate == 100.0


def test_a_rate_next_to_nothing_makes_nobody_spin(account: Story) -> None:
    learn(account.ours, 1e-200)
    account.enqueue(2)
    account.ours.claim(1)
    assert account.ours.claim(1)[0] == []
    assert account.ours.view.wait == 3600.0


def test_workers_of_other_queues_take_no_tokens_away_from_under_a_heavy_mail(account: Story) -> None:
    policy = GatePolicy(region="eu-west-1", max_send_rate=100.0)
    high = Lifecycle(account.redis, ["mail-high"], "c", "c", 30.0, gate=policy)
    bulk = Lifecycle(account.redis, ["mail-bulk"], "d", "d", 30.0, gate=policy)
    account.enqueue(1, recipients=10, queue="mail-high")
    account.enqueue(60, queue="mail-bulk")
    bulk.claim(16)
    while not high.claim(1)[0]:
        bulk.claim(16)
        assert account.redis.llen(KEYS.queue("mail-bulk")) > 40, "it waits for a full bucket"


# 429


def test_a_429_lowers_the_rate_for_everybody_and_it_grows_back(account: Story) -> None:
    learn(account.ours, 10.0)
    account.enqueue(4)
    account.fails(1, LIMITED)
    assert account.gate.rate == pytest.approx(7, abs=0.2)
    assert account.other.claim(1)[0] == []
    account.fails(0)
    account.passes(1.0)
    assert account.gate.rate == pytest.approx(7.5, abs=0.2)
    account.passes(9.0)
    assert account.gate.rate == 10.0
    assert account.gate.failures == 0


def test_429s_of_one_second_lower_it_once(account: Story) -> None:
    learn(account.ours, 1000.0)
    account.enqueue(10)
    claims, _ = account.ours.claim(10)
    account.end(claims[:5], *[LIMITED] * 5)
    account.end(claims[5:], *[LIMITED] * 5)
    assert account.gate.rate == pytest.approx(700, abs=30)
    account.passes(1.1)
    account.fails(1, LIMITED)
    assert account.gate.rate == pytest.approx(0.7 * 755, abs=30)


def test_without_a_known_rate_a_429_lowers_what_was_really_claimed(account: Story) -> None:
    account.enqueue(60)
    claims, _ = account.ours.claim(50)
    assert account.gate.rate is None
    account.end(claims[:1], LIMITED)
    assert account.gate.rate == pytest.approx(35, abs=3)
    account.passes(60)
    assert account.gate.rate is None
