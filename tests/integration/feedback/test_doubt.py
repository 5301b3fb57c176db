"""Doubt that ends when an event is stored, and not when it is only told again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.feedback.event import Event, read_event
from rq_ses.feedback.store import Store, Stored
from rq_ses.server.location import Location
from rq_ses_worker.lifecycle.records import Lease, Settlement, Word, failed_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.simulator.events.event import Sent, event
from support.mails.mail import mail, status
from support.receipts.doubtful import Doubtful


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = Store.at(Location(redis_url, None), "")
    yield made
    made.close()


def told(kind: str, job_id: str, **mail: Any) -> Event:
    return read_event(event(kind, Sent(message_id="m-1", tags={"rq-ses-job": job_id}, **mail)))


@pytest.mark.parametrize(
    "kind", ["Send", "Delivery", "Bounce", "Complaint", "Reject", "Rendering Failure", "Open"]
)
def test_an_event_finishes_a_mail_in_doubt_once(redis: Redis, store: Store, kind: str) -> None:
    doubtful = Doubtful(redis)
    one = told(kind, doubtful.in_doubt("failed"))
    assert store.store(one) == Stored(1, doubtful.job_id, "sent")
    assert doubtful.is_finished("m-1")
    assert store.store(one) == Stored(0, doubtful.job_id, "")


def test_a_mail_that_waits_for_its_second_copy_is_not_sent_again(redis: Redis, store: Store) -> None:
    doubtful = Doubtful(redis)
    doubtful.in_doubt("queued")
    assert store.store(told("Delivery", doubtful.job_id)).resolved == "sent"
    assert doubtful.claim() is None


@pytest.mark.parametrize("kind", ["Subscription", "Teleported"])
def test_what_proves_nothing_leaves_it_in_doubt(redis: Redis, store: Store, kind: str) -> None:
    doubtful = Doubtful(redis)
    doubtful.in_doubt("failed")
    assert store.store(told(kind, doubtful.job_id)).resolved == ""
    assert status(redis, doubtful.job_id) == "failed"


def test_an_event_of_an_older_mail_under_the_same_id_resolves_nothing(redis: Redis, store: Store) -> None:
    doubtful = Doubtful(redis)
    doubtful.in_doubt("failed")
    long_ago = datetime.fromtimestamp(time.time() - 90_000, UTC)
    assert store.store(told("Bounce", doubtful.job_id, at=long_ago)) == Stored(1, doubtful.job_id, "")
    assert status(redis, doubtful.job_id) == "failed"


def test_an_event_of_a_canceled_mail_says_nothing_of_the_next_one_under_its_key(
    redis: Redis, redis_url: str, store: Store
) -> None:
    outbox, lifecycle = Outbox(redis_url), Lifecycle(redis, ["mail"], "tests", "aaaaaaaa", 30.0)

    def attempt(action: Any, meta: dict[str, Any], fields: dict[str, Any]) -> Word:
        ending = Settlement(claimed(lifecycle), action, datetime.now(UTC), meta, fields)
        return lifecycle.settle([ending], clock=0.0)[0]

    def claimed(lifecycle: Lifecycle) -> Lease:
        [claim], _ = lifecycle.claim(1)
        if accepted:
            store.store(told("Send", claim.lease.job_id, at=accepted[0]))
        return claim.lease

    accepted: list[datetime] = []
    first = outbox.send(mail("b@example.com"), key="k")
    attempt("retry", {"ambiguous": 1, "attempts": 1}, {"delay": 60.0})
    accepted.append(datetime.now(UTC))
    assert outbox.cancel(first)
    assert outbox.send(mail("c@example.com"), key="k").job_id == first.job_id
    assert attempt("failed", {"attempts": 1}, failed_fields("MessageRejected: no")) == "done"
    assert status(redis, first.job_id) == "failed"
    outbox.connection.close()
