"""The probes of an open breaker: one mail at a time, and what its end means."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Outcome
from support.mails.gate import BUSY, LIMITED, PAUSED, REJECTED, SENT, Story, learn
from support.mails.mail import status


def test_a_probe_is_one_mail_over_all_workers(account: Story) -> None:
    account.opened()
    account.probe_is_due()
    taken: list[Claim] = []
    start = threading.Barrier(2)

    def race(worker: Lifecycle) -> None:
        start.wait()
        taken.extend(worker.claim(5)[0])

    threads = [threading.Thread(target=race, args=(worker,)) for worker in (account.ours, account.other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [claim] = taken
    assert claim.probe
    assert sorted([account.ours.view.refusal, account.other.view.refusal]) == ["probe", "probing"]
    assert (account.gate.breaker, account.gate.probe) == ("half-open", claim.lease.job_id)


@pytest.mark.parametrize("outcome", [SENT, REJECTED])
def test_a_probe_that_ses_decides_on_closes_it_with_a_fresh_count(account: Story, outcome: Outcome) -> None:
    claim = account.probing()
    account.end([claim], outcome)
    gate = account.gate
    assert (gate.breaker, gate.failures, gate.next_probe) == ("closed", 0, None)
    assert gate.closed_at is not None
    assert len(account.other.claim(5)[0]) == 2
    assert account.other.view.refusal == ""


@pytest.mark.parametrize("outcome", [PAUSED, BUSY, LIMITED])
def test_a_probe_that_fails_is_followed_by_a_later_one_with_another_mail(
    account: Story, outcome: Outcome
) -> None:
    claim = account.probing()
    probed = []
    for pause in (8.0, 12.8, 20.5, 32.8, 52.4, 60.0, 60.0):
        probed.append(claim.lease.job_id)
        account.end([claim], outcome)
        assert account.gate.breaker == "open"
        assert account.gate.next_probe_in == pytest.approx(pause, abs=0.5)
        assert status(account.redis, claim.lease.job_id) == "queued"
        account.probe_is_due()
        [claim], _ = account.ours.claim(5)
        assert claim.fresh
    assert len(set(probed)) == 2
    assert all(one != other for one, other in pairwise(probed))
    assert account.gate.openings == 1


def test_a_mail_that_always_fails_keeps_the_breaker_open_for_no_other_queue(account: Story) -> None:
    account.enqueue(1, queue="mail-high")
    account.fails(1, PAUSED)
    poison = None
    for _ in range(2):
        account.probe_is_due()
        [claim], _ = account.ours.claim(1)
        poison = poison or claim.lease.job_id
        assert claim.lease.job_id == poison, "there is no other"
        account.end([claim], BUSY)
    account.enqueue(2, queue="mail-bulk")
    account.probe_is_due()
    [claim], _ = account.ours.claim(1)
    assert claim.lease.queue == 2
    account.end([claim], SENT)
    claims, _ = account.ours.claim(5)
    assert [claim.lease.job_id == poison for claim in claims] == [True, False]


def test_a_probe_whose_mail_was_never_sent_is_replaced_at_once(account: Story) -> None:
    account.end([account.probing()], None)
    assert account.gate.next_probe_in == pytest.approx(0, abs=0.1)
    assert account.other.claim(5)[0][0].probe


def test_a_probe_whose_worker_died_is_replaced_and_ends_without_a_word(account: Story) -> None:
    dead = account.probing()
    assert account.other.claim(5)[0] == []
    account.passes(31)
    account.lease_ends(dead)
    [heir], _ = account.other.claim(5)
    assert heir.probe
    account.end([dead], SENT)
    assert account.gate.breaker == "half-open"
    account.end([heir], SENT, worker=account.other)
    assert account.gate.breaker == "closed"


def test_a_probe_that_takes_longer_than_its_first_lease_is_not_replaced(account: Story) -> None:
    claim = account.probing()
    account.passes(31)
    assert account.ours.renew([claim.lease]) == [claim.lease]
    assert account.other.claim(5)[0] == [], "its lease was renewed"
    assert account.other.view.refusal == "probing"
    account.end([claim], SENT)
    assert account.gate.breaker == "closed"


def test_a_probe_found_after_a_lost_answer_is_still_the_probe(account: Story) -> None:
    claim = account.probing()
    adopted = account.ours.adopt(claim.lease)
    assert adopted is not None
    assert adopted.probe


def test_late_answers_of_what_was_under_way_neither_close_nor_open_it(account: Story) -> None:
    account.enqueue(5)
    claims, _ = account.ours.claim(4)
    account.end(claims[:1], PAUSED)
    account.end(claims[1:3], SENT, PAUSED)
    assert (account.gate.breaker, account.gate.openings) == ("open", 1)
    account.probe_is_due()
    probe, _ = account.ours.claim(1)
    account.end([*claims[3:], *probe], PAUSED, SENT)
    assert account.gate.breaker == "closed"


def test_a_probe_passes_an_empty_bucket_and_a_used_up_day(account: Story) -> None:
    learn(account.ours, 1.0, quota=10.0, sent=5.0)
    account.enqueue(3)
    account.fails(1, PAUSED)
    learn(account.ours, 1.0, quota=10.0, sent=10.0)
    account.probe_is_due()
    assert account.ours.claim(1)[0][0].probe
