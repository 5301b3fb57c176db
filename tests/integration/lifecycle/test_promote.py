"""Retries and mails for later: scheduled, and put into the queue when they are due."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rq.job import JobStatus
from rq.registry import (
    ScheduledJobRegistry,
)

from rq_ses import contract
from rq_ses_worker.lifecycle.records import (
    Settlement,
)
from support.mails.keys import KEYS
from support.mails.transitions import PAYLOAD, Story, retry
from support.waiting import wait_for


def test_a_retry_is_scheduled_from_the_end_of_the_attempt_and_promoted_no_earlier(story: Story) -> None:
    story.enqueue()
    claim = story.claim()
    ended = time.monotonic() - 0.2
    late = Settlement(claim.lease, "retry", datetime.now(UTC), {"attempts": 1}, {"delay": 0.5}, ended)
    assert story.settle([late]) == ["done"]
    job = story.job()
    assert job.get_status() == JobStatus.SCHEDULED
    assert job.worker_name is None
    assert ScheduledJobRegistry(queue=story.queue).get_job_ids() == ["j1"]
    moved, pause = story.ours.promote()
    assert moved == 0
    assert pause is not None
    assert 0.1 < pause < 0.3
    wait_for(lambda: story.ours.promote()[0])
    assert time.monotonic() - ended >= 0.5
    assert story.job().get_status() == JobStatus.QUEUED
    assert story.places() == ["queue"]
    assert not story.claim().fresh


def test_a_score_without_end_does_not_stop_promotion(story: Story) -> None:
    story.redis.zadd(KEYS.registry("scheduled", "mail"), {"never": "+inf"})
    moved, pause = story.ours.promote()
    assert (moved, pause) == (0, 1e9)


def test_promoted_retries_go_before_new_mails_and_late_ones_behind(story: Story) -> None:
    story.enqueue("retried")
    story.settle([retry(story.claim().lease, 0.0)])
    story.queue.enqueue_at(
        datetime(2020, 1, 1, tzinfo=UTC), contract.JOB_FUNCTION, PAYLOAD, job_id="for-later"
    )
    story.enqueue("new")
    assert story.ours.promote() == (2, None)
    claims, _ = story.ours.claim(3)
    assert [c.lease.job_id for c in claims] == ["retried", "new", "for-later"]


def test_a_scheduled_job_that_was_canceled_is_not_promoted(story: Story) -> None:
    story.enqueue()
    story.settle([retry(story.claim().lease, 0.0)])
    story.redis.hset("rq:job:j1", "status", "canceled")
    assert story.ours.promote() == (0, None)
    assert story.places() == []
