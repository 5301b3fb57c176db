"""The day's quota, and which worker asks SES for the account's limits."""

from __future__ import annotations

from support.mails.gate import Story, learn, order

# The day


def test_the_day_is_planned_with_what_was_claimed_since_ses_was_asked(account: Story) -> None:
    asker = account.worker("cccccccc", asks=True)
    asker.claim(1)
    assert asker.view.ask
    learn(asker, 1000.0, quota=200.0, sent=195.0)
    account.enqueue(10)
    assert len(account.ours.claim(10)[0]) == 5
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("quota", True)
    assert account.gate.quota_left == 0
    asker.claim(1)
    assert not asker.view.ask
    account.passes(61)
    asker.claim(1)
    assert asker.view.ask, "SES isn't asked again though the day is used up"
    learn(asker, 1000.0, quota=200.0, sent=197.0)
    assert len(account.ours.claim(10)[0]) == 3


def test_an_answer_of_the_day_before_closes_the_gate_no_more(account: Story) -> None:
    learn(account.ours, 1000.0, quota=200.0, sent=195.0)
    account.enqueue(10)
    assert len(account.ours.claim(10)[0]) == 5
    account.ours.learn(None, ask_again=300.0)
    account.passes(86_000)
    assert account.ours.claim(10)[0] == []
    account.passes(500)
    assert len(account.ours.claim(10)[0]) == 5
    assert account.gate.quota_left is None


def test_a_heavy_mail_for_which_the_day_is_too_short_holds_up_none_that_is_more_urgent(
    account: Story,
) -> None:
    learn(account.ours, 1000.0, quota=200.0, sent=170.0)
    account.enqueue(20, queue="mail-high")
    account.enqueue(1, recipients=50)
    account.enqueue(5, queue="mail-bulk")
    assert order(account, 10) == "h" * 7 + "b" + "h" * 2
    # What is less urgent would eat up what it waits for.
    assert queues_of_two_claims(account) == [0] * 11
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("quota", True)
    learn(account.ours, 1000.0, quota=200.0, sent=120.0)
    assert queues_of_two_claims(account) == [1, 2, 2, 2, 2]


def queues_of_two_claims(account: Story) -> list[int]:
    """Where tokens are granted, the first claim only learns how many the heavy one takes."""
    return [claim.lease.queue for _ in range(2) for claim in account.ours.claim(20)[0]]


# Asking


def test_one_worker_asks_and_the_first_mails_wait_for_the_answer(account: Story) -> None:
    first, second = account.worker("cccccccc", asks=True), account.worker("dddddddd", asks=True)
    account.enqueue(5)
    assert first.claim(5)[0] == []
    assert (first.view.ask, first.view.refusal, first.view.waiting) == (True, "asking", True)
    assert second.claim(5)[0] == []
    assert (second.view.ask, second.view.refusal) == (False, "asking")
    learn(first, 1.0)
    assert len(second.claim(5)[0]) == 1
    account.passes(299)
    second.claim(5)
    assert not second.view.ask
    account.passes(2)
    second.claim(5)
    assert second.view.ask


def test_mails_go_out_if_ses_does_not_tell_or_the_asker_dies(account: Story) -> None:
    asker = account.worker("cccccccc", asks=True)
    account.enqueue(2)
    asker.claim(1)
    account.passes(2.1)
    assert len(asker.claim(1)[0]) == 1
    assert not asker.view.ask
    account.passes(60)
    asker.claim(0)
    assert asker.view.ask
    asker.learn(None, ask_again=60.0)
    assert len(asker.claim(1)[0]) == 1
    assert account.gate.refused is not None
    assert account.gate.rate is None
