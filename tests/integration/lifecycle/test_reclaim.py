"""Leases that run out: renewed in time, or ended by another worker."""

from __future__ import annotations

from rq.job import JobStatus
from rq.registry import (
    StartedJobRegistry,
)

from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.transitions import Story, back
from support.waiting import wait_for


def test_an_overdue_execution_goes_back_to_the_front(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.05)
    story.enqueue("j1")
    story.enqueue("j2")
    claim = story.claim(dying)
    [found] = wait_for(story.ours.reclaim)
    assert (found.lease, found.worker) == (claim.lease, "dying")
    assert story.settle([back(found.lease, overdue=True)]) == ["done"]
    assert story.places("j1") == ["queue"]
    again = story.claim()
    assert (again.lease.job_id, again.fresh) == ("j1", False)
    assert story.ours.renew([again.lease]) == [again.lease]
    assert [execution.id for execution in story.job().get_executions()] == [again.lease.execution]


def test_two_reclaimers_end_an_execution_once(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.05)
    story.enqueue()
    story.claim(dying)
    [found] = wait_for(story.ours.reclaim)
    assert story.settle([back(found.lease, overdue=True)]) == ["done"]
    assert story.settle([back(found.lease, overdue=True)], story.other) == ["lost"]
    assert story.places() == ["queue"]


def test_a_lease_that_was_renewed_in_between_is_not_reclaimed(story: Story) -> None:
    slow = Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 0.05)
    story.enqueue()
    claim = story.claim(slow)
    [found] = wait_for(story.ours.reclaim)
    assert Lifecycle(story.redis, ["mail"], "slow", "dddddddd", 60.0).renew([claim.lease]) == [claim.lease]
    assert story.settle([back(found.lease, overdue=True)]) == ["lost"]
    assert story.places() == ["wip"]
    assert story.ours.reclaim() == []


def test_rqs_own_clean_up_leaves_our_executions_to_reclaim(story: Story) -> None:
    dying = Lifecycle(story.redis, ["mail"], "dying", "dddddddd", 0.01)
    story.enqueue()
    story.claim(dying)
    wait_for(story.ours.reclaim)
    assert StartedJobRegistry(queue=story.queue).count == 1
    assert story.job().get_status() == JobStatus.STARTED
