"""Outcomes that come too late: the lease has gone, or the mail was canceled or deleted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from rq.job import JobStatus

from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.transitions import GATE, Story, back, failed, retry, sent
from support.waiting import wait_for


@pytest.mark.parametrize("where", ["queued", "scheduled", "failed"])
def test_a_late_sent_wins_over_a_copy_that_nobody_has_started(story: Story, where: str) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    ending = {"queued": back, "failed": failed, "scheduled": lambda lease, **o: retry(lease, 60, **o)}[where]
    story.settle([ending(found.lease, overdue=True)])
    assert story.settle([sent(claim.lease)], slow) == ["late"]
    assert story.job().get_status() == JobStatus.FINISHED
    assert story.places() == ["finished"]


def test_a_late_outcome_is_not_written_over_what_another_has_started(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    story.settle([back(found.lease, overdue=True)])
    again = story.claim()
    for late in (sent(claim.lease), failed(claim.lease), retry(claim.lease, 1)):
        assert story.settle([late], slow) == ["lost"]
    assert story.job().get_status() == JobStatus.STARTED
    assert story.settle([sent(again.lease)]) == ["done"]


@pytest.mark.parametrize("ending", [back, failed, lambda lease: retry(lease, 1)])
def test_a_late_outcome_is_not_written_over_what_a_build_before_has_started(
    story: Story, ending: Callable[[Lease], Settlement]
) -> None:
    story.enqueue()
    late = story.claim()
    story.redis.delete(KEYS.leases("mail"))
    # It knows nothing of the field that names the execution.
    story.redis.hset("rq:job:j1", mapping={"worker_name": "before", "started_at": "2026-11-30T10:00:00Z"})
    story.redis.zadd(KEYS.leases("mail"), {"j1:before1": time.time() + 30})
    assert story.settle([ending(late.lease)]) == ["lost"]
    assert story.job().get_status() == JobStatus.STARTED
    assert story.redis.llen(KEYS.queue("mail")) == 0


def test_a_late_retry_does_not_move_a_queued_copy(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    story.settle([back(found.lease, overdue=True)])
    assert story.settle([retry(claim.lease, 1)], slow) == ["lost"]
    assert story.places() == ["queue"]


def test_a_mail_canceled_while_it_is_sent_is_finished_if_ses_accepted_it(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    story.job().cancel()
    assert story.settle([sent(claim.lease)]) == ["accepted"]
    job = story.job()
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == {"message_id": "m-1"}
    assert job.get_meta()["note"] == "SES accepted it: it was canceled while it was being sent"
    assert story.places() == ["finished"]
    assert story.redis.zcard(KEYS.leases("mail")) == 0


def test_a_mail_canceled_while_it_is_sent_stays_canceled_if_ses_refused_it(story: Story) -> None:
    for ending in (failed, lambda lease: retry(lease, 1), back):
        story.enqueue()
        claim = story.claim()
        story.job().cancel()
        assert story.settle([ending(claim.lease)]) == ["canceled"]
        assert story.places() == ["canceled"]
        assert story.redis.zcard(KEYS.leases("mail")) == 0
        story.job().delete()


def test_a_mail_deleted_while_it_is_sent_leaves_nothing_behind(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    story.job().delete()
    assert story.settle([sent(claim.lease)]) == ["vanished"]
    assert set(story.redis.keys("*")) <= {b"rq:queues", GATE}
