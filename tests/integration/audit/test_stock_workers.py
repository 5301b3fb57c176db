"""What workers of RQ's own lose, found and mended."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import contract
from rq_ses_worker.audit.audit import Report
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.retry import History, RetryPolicy, lost_worker
from support.mails.audits import INTERMEDIATE, LIST, WIP, look, mended, places
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail

# What stock RQ loses


def stock_queue(redis: Redis) -> Queue:
    return Queue("mail", connection=redis, serializer=JSONSerializer)


def test_a_job_whose_stock_worker_died_after_taking_it_from_one_of_several_queues_goes_back(
    redis: Redis, job_id: str
) -> None:
    others = [Queue("other", connection=redis, serializer=JSONSerializer), stock_queue(redis)]
    assert Queue.dequeue_any(others, None, connection=redis, serializer=JSONSerializer)[0].id == job_id
    # RQ takes it by LPOP or BLPOP, and here its process dies.
    assert places(redis, job_id) == []
    report = mended(redis)
    assert report == Report(job_id, "queued, but stands in no list", "put back into the queue")
    assert places(redis, job_id) == ["queue"]
    assert fetch(redis, job_id).get_status() == JobStatus.QUEUED


def test_a_job_left_in_the_intermediate_list_goes_back_and_is_not_failed(redis: Redis, job_id: str) -> None:
    queue = stock_queue(redis)
    Queue.dequeue_any([queue], None, connection=redis, serializer=JSONSerializer)
    assert places(redis, job_id) == ["intermediate"]
    assert mended(redis).found == "left in RQ's intermediate list"
    assert places(redis, job_id) == ["queue"]


def test_a_job_in_the_intermediate_list_of_a_living_worker_has_a_minute(redis: Redis, job_id: str) -> None:
    redis.lmove(LIST, INTERMEDIATE)
    worker = SimpleWorker([stock_queue(redis)], connection=redis, serializer=JSONSerializer)
    worker.register_birth()
    assert look(redis) == []
    redis.hset(KEYS.job(job_id), "enqueued_at", "2026-01-01T00:00:00.000000Z")
    assert mended(redis).found == "left in RQ's intermediate list"


class Dead(BaseException):
    """The process was killed."""


class DyingWorker(SimpleWorker):
    """A stock worker that dies in the middle of scheduling a retry."""

    def handle_job_retry(self, job: Any, *_: Any) -> None:
        job.set_status(JobStatus.SCHEDULED)  # as RQ does, outside of the pipeline that comes next
        raise Dead


class ForgetfulWorker(SimpleWorker):
    """A stock worker whose EXEC is lost whenever it settles a failure."""

    def handle_job_failure(self, *args: Any, **kwargs: Any) -> None:
        connection, self.connection = self.connection, Losing(self.connection)
        try:
            super().handle_job_failure(*args, **kwargs)
        finally:
            self.connection = connection


class Losing:
    """A connection whose transactions are lost."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def pipeline(self) -> Any:
        pipeline = self._redis.pipeline()
        pipeline.execute = Mock(side_effect=ConnectionError("EXEC was lost"))
        return pipeline


def started_by_stock(redis: Redis, job_id: str) -> None:
    """Leave a job as a stock worker that is sending it has it, and let that worker be dead for long."""
    worker = SimpleWorker([stock_queue(redis)], connection=redis, serializer=JSONSerializer)
    worker.register_birth()
    job = Queue.dequeue_any([worker.queues[0]], None, connection=redis, serializer=JSONSerializer)[0]
    worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
    assert job.id == job_id
    assert places(redis, job_id) == ["wip"]


def stock_died(redis: Redis) -> None:
    for key in redis.keys("rq:worker:*"):
        redis.delete(key)
    for member in redis.zrange(WIP, 0, -1):
        redis.zadd(WIP, {member: time.time() - 1})


def test_a_retry_that_was_returned_and_lost_goes_back(redis: Redis, job_id: str) -> None:
    started_by_stock(redis, job_id)
    job = fetch(redis, job_id)
    with pytest.raises(Dead):
        DyingWorker([stock_queue(redis)], connection=redis).handle_job_retry(job, None, Retry(1), None, None)
    # Its worker lives, and may be about to schedule it.
    assert look(redis) == []
    stock_died(redis)
    StartedJobRegistry("mail", connection=redis, serializer=JSONSerializer).cleanup()
    assert places(redis, job_id) == []
    assert mended(redis) == Report(job_id, "scheduled, but stands in no registry", "put back into the queue")
    assert places(redis, job_id) == ["queue"]


def test_a_retry_of_an_exception_whose_exec_failed_goes_back(redis: Redis) -> None:
    """RQ sets the status outside of the transaction, which fails; it only logs that."""
    queue = stock_queue(redis)
    job = queue.enqueue("builtins.int", "no number", retry=Retry(3, interval=60))
    worker = ForgetfulWorker([queue], connection=redis, serializer=JSONSerializer)
    worker.work(burst=True)
    assert fetch(redis, job.id).get_status() == JobStatus.SCHEDULED
    assert ScheduledJobRegistry("mail", connection=redis).get_job_ids() == []
    stock_died(redis)
    assert mended(redis).done == "put back into the queue"
    assert places(redis, job.id) == ["queue"]


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_a_job_whose_stock_worker_died_while_sending_follows_on_unknown(
    redis: Redis, job_id: str, on_unknown: str
) -> None:
    started_by_stock(redis, job_id)
    assert look(redis) == []
    stock_died(redis)
    report = mended(redis, on_unknown=on_unknown)
    assert "its worker is dead" in report.found
    job = fetch(redis, job_id)
    assert job.get_meta()["last_outcome"]["code"] == "WorkerLost"
    if on_unknown == "resend":
        assert places(redis, job_id) == ["queue"]
        assert job.get_meta()["attempts"] == 1
    else:
        assert places(redis, job_id) == ["failed"]
        assert job.latest_result().exc_string.startswith("outcome unknown: WorkerLost: ")
        assert report.done.startswith("failed: outcome unknown: ")
        assert FailedJobRegistry("mail", connection=redis).get_job_ids() == [job_id]
        assert redis.ttl(job.key) > 31_000_000
        job.requeue()
        assert places(redis, job_id) == ["queue"]
    assert redis.keys("rq:execution*") == []


@pytest.mark.parametrize(("max_doubtful", "place"), [(2, "queue"), (1, "failed")])
def test_a_worker_ends_what_a_stock_worker_that_is_lost_began_and_counts_its_doubt_once(
    redis: Redis, job_id: str, max_doubtful: int, place: str
) -> None:
    started_by_stock(redis, job_id)
    lost = lost_worker("")
    noted = History().after(lost, time.time()).to_meta(lost)
    redis.hset(KEYS.job(job_id), "meta", json.dumps(noted))
    sweeper = Sweeper(redis, ["mail"], threading.Event(), policy=RetryPolicy(max_doubtful=max_doubtful))
    sweeper.sweep()
    assert places(redis, job_id) == ["wip"]
    stock_died(redis)
    redis.delete(*redis.keys("rq:ses:sweep*"))
    sweeper.sweep()
    assert places(redis, job_id) == [place]
    assert fetch(redis, job_id).get_meta()["ambiguous"] == 1
    assert look(redis) == []


def test_a_message_that_must_be_held_is_held_whatever_the_worker_would_do(redis: Redis) -> None:
    job = stock_queue(redis).enqueue(
        contract.JOB_FUNCTION, kwargs={"payload": mail().model_dump(mode="json"), "on_unknown": "hold"}
    )
    started_by_stock(redis, job.id)
    stock_died(redis)
    assert mended(redis, on_unknown="resend").done.startswith("failed: outcome unknown: ")
