"""The breaker: what opens it, how it is opened and closed by hand."""

from __future__ import annotations

import pytest

from rq_ses.gate import close_breaker, open_breaker
from rq_ses_worker.account.gate import STREAK
from rq_ses_worker.ses.outcome import Outcome, RateLimited
from support.mails.gate import BUSY, PAUSED, SENT, Story

# The breaker


@pytest.mark.parametrize("outcome", [PAUSED, RateLimited(429, "Throttling", "Daily quota", quota=True)])
def test_a_word_about_the_account_opens_at_once(account: Story, outcome: Outcome) -> None:
    account.enqueue(3)
    account.fails(1, outcome)
    gate = account.gate
    assert (gate.breaker, gate.manual, gate.openings) == ("open", False, 1)
    assert gate.reason.startswith(f"{outcome.code}: ")
    assert gate.next_probe_in == pytest.approx(5, abs=0.5)
    assert account.other.claim(3)[0] == []
    assert (account.other.view.refusal, account.other.view.openings) == ("open", 1)
    assert account.other.view.wait == pytest.approx(5, abs=0.5)


def test_failures_in_a_row_open_it_and_a_good_end_in_between_does_not(account: Story) -> None:
    account.enqueue(30)
    account.fails(7)
    assert account.gate.failures == 7
    account.ours.claim(0)
    account.fails(1, SENT)
    assert account.gate.failures == 0
    account.fails(7)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert account.gate.breaker == "open"
    assert account.gate.reason == "8 failures in a row, the last: ServiceUnavailable: Busy. (HTTP 503)"


def test_a_few_failures_among_very_many_good_ends_do_not_open_it(account: Story) -> None:
    account.enqueue(120)
    claims, _ = account.ours.claim(100)
    account.end(claims, *[SENT] * 100)
    account.fails(12)
    assert (account.gate.breaker, account.gate.failures) == ("closed", 12)
    # Good ends count for a second or two.
    account.passes(3)
    account.fails(1)
    assert account.gate.breaker == "open"


def test_a_streak_that_is_long_enough_opens_it_whatever_went_well_a_second_ago(account: Story) -> None:
    account.enqueue(700)
    for _ in range(6):
        claims, _ = account.ours.claim(100)
        account.end(claims, *[SENT] * 100)
    account.fails(STREAK - 1)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert account.gate.breaker == "open"
    assert account.gate.reason.startswith(f"{STREAK} failures in a row")


def test_one_domain_that_fails_for_good_among_others_does_not_open_it(account: Story) -> None:
    account.enqueue(400)
    for _ in range(40):
        claims, _ = account.ours.claim(10)
        account.end(claims, *[BUSY] * 3, SENT, *[BUSY] * 2, SENT, BUSY, SENT, SENT)
    assert account.gate.breaker == "closed"


# By hand


def test_a_breaker_opened_by_hand_makes_no_probes_until_a_hand_closes_it(account: Story) -> None:
    account.enqueue(3)
    account.ours.claim(1)
    open_breaker(account.redis, "default", "eu-west-1", "wait\nfor <me>")
    gate = account.gate
    assert (gate.breaker, gate.manual, gate.reason, gate.next_probe) == ("open", True, "wait for ‹me›", None)
    account.passes(100_000)
    assert account.ours.claim(3)[0] == []
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("manual", True)
    assert close_breaker(account.redis, "default", "eu-west-1")
    assert not close_breaker(account.redis, "default", "eu-west-1")
    assert len(account.ours.claim(3)[0]) == 2


def test_a_hand_that_opens_it_during_a_probe_has_the_last_word(account: Story) -> None:
    claim = account.probing()
    open_breaker(account.redis, "default", "eu-west-1", "mine")
    account.end([claim], SENT)
    assert (account.gate.breaker, account.gate.reason) == ("open", "mine")


def test_after_a_hand_closed_it_failures_are_counted_anew(account: Story) -> None:
    account.opened()
    close_breaker(account.redis, "default", "eu-west-1")
    account.fails(7)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert (account.gate.breaker, account.gate.openings) == ("open", 2)


def test_two_accounts_on_one_server_have_two_gates(account: Story) -> None:
    account.opened()
    elsewhere = account.worker("cccccccc", account="other")
    assert len(elsewhere.claim(1)[0]) == 1
