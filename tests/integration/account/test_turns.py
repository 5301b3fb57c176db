"""The order in which a claim goes through several queues."""

from __future__ import annotations

from support.mails.gate import QUEUES, Story, learn, order


def test_lower_queues_have_every_eighth_turn_between_them(account: Story) -> None:
    for queue in QUEUES:
        account.enqueue(30, queue=queue)
    assert order(account, 32) == "hhhhhhhb" + "hhhhhhhm" + "hhhhhhhb" + "hhhhhhhm"
    claims, _ = account.ours.claim(20)
    assert [claim.lease.queue for claim in claims] == [0, 0, *[1] * 5, 2, *[1] * 7, 2, *[1] * 4]


def test_an_urgent_mail_goes_before_any_number_of_others(account: Story) -> None:
    account.enqueue(100, queue="mail-bulk")
    assert order(account, 30) == "b" * 30
    account.enqueue(1, queue="mail-high")
    account.enqueue(1, queue="mail")
    assert order(account, 4) == "hmbb"


def test_an_urgent_mail_goes_before_a_turn_that_is_due(account: Story) -> None:
    account.enqueue(20)
    account.enqueue(20, queue="mail-bulk")
    assert order(account, 7) == "m" * 7
    account.enqueue(1, queue="mail-high")
    assert order(account, 3) == "hbm"
    assert order(account, 6) == "m" * 6
    account.enqueue(3, queue="mail-high")
    # Not even these starve the lower ones, whose turn it is one after the other.
    assert order(account, 5) == "hmhhm"


def test_a_turn_is_kept_while_the_gate_is_shut(account: Story) -> None:
    learn(account.ours, 1.0)
    account.enqueue(20, queue="mail-high")
    account.enqueue(20, queue="mail-bulk")
    taken = ""
    for _ in range(16):
        taken += order(account, 1)
        assert account.ours.claim(1)[0] == []
        account.passes(10)
    assert taken == "hhhhhhhb" * 2
