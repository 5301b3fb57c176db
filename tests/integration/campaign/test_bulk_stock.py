"""Bulk jobs under RQ's own worker: each entry has its fate there, too."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from rq_ses.keys import keys_of
from rq_ses_worker import job
from rq_ses_worker.lifecycle.retry import RetryPolicy
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    addresses,
    campaign,
    counts,
    enqueue,
    places,
    store,
    success,
)
from support.mails.mail import fetch


def work(redis: Redis, monkeypatch: pytest.MonkeyPatch, client: BulkClient, **policy: Any) -> None:
    monkeypatch.setattr(job, "_sender", lambda: (client, RetryPolicy(**policy), False))
    queue = Queue(QUEUE, connection=redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True)


def test_a_stock_worker_sends_a_bulk_job(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store(redis, campaign())
    job_id = enqueue(redis, campaign(), addresses(3))
    work(redis, monkeypatch, BulkClient())
    assert fetch(redis, job_id).return_value() == {
        "campaign": NAME,
        "entries": [[to, "SUCCESS", f"id-of-{to}"] for to in addresses(3)],
    }
    assert counts(redis) == (3, 3, 0)


def test_a_stock_worker_divides_a_mixture(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(4))
    statuses = {"to-1@example.com": "ACCOUNT_THROTTLED", "to-2@example.com": "MESSAGE_REJECTED"}
    client = BulkClient(lambda to: {"Status": statuses[to]} if to in statuses else success(to))
    work(redis, monkeypatch, client)
    assert places(redis) == {
        "to-0@example.com": ["finished"],
        "to-1@example.com": ["scheduled"],
        "to-2@example.com": ["failed"],
        "to-3@example.com": ["finished"],
    }
    assert counts(redis) == (4, 2, 0)


def test_a_stock_worker_tries_again_what_stays_without_the_rest(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(3))
    statuses = {"to-1@example.com": "MESSAGE_REJECTED"}
    client = BulkClient(lambda to: {"Status": statuses.get(to, "TRANSIENT_FAILURE")})
    work(redis, monkeypatch, client)
    assert places(redis) == {
        "to-0@example.com": ["scheduled"],
        "to-1@example.com": ["failed"],
        "to-2@example.com": ["scheduled"],
    }


def test_a_stock_worker_holds_ten_in_doubt(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(25))
    client = BulkClient()
    work(redis, monkeypatch, client, on_unknown="hold")
    assert [len(request) for request in client.requests] == [10, 10, 5]
    assert counts(redis) == (25, 25, 0)


@pytest.mark.parametrize("state", ["paused", "canceled"])
def test_a_stock_worker_sends_nothing_of_a_campaign_that_is_held(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    store(redis, campaign(), state=state)
    job_id = enqueue(redis, campaign(), addresses(3))
    client = BulkClient()
    work(redis, monkeypatch, client)
    assert client.requests == []
    status = redis.hget(keys_of(redis).job(job_id), "status")
    assert status == (b"scheduled" if state == "paused" else b"finished")
    assert counts(redis) == (3, 0, 3 * (state == "canceled"))
