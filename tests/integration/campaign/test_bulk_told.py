"""Entries in doubt of which an event tells that SES has them: they are sent, and no second copy goes out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from rq_ses.campaign.names import entry_id
from rq_ses.feedback.event import read_event
from rq_ses.feedback.store import Store
from rq_ses.keys import keys_of
from rq_ses.server.location import Location
from rq_ses_worker import job
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.outcome import Outcome, Transient
from rq_ses_worker.simulator.events.event import Sent, event
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    Desk,
    addresses,
    campaign,
    counts,
    enqueue,
    lose,
    make_due,
    places,
)
from support.bulk.desk import store as store_campaign
from support.mails.mail import fetch

TO = addresses(3)


def message_id_of(to: str) -> str:
    return f"told-{to.partition('@')[0]}"


class Events:
    """SES's events of entries, stored as they come."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tell(self, to: str, kind: str = "Send", at: datetime | None = None) -> str:
        tags = {"rq-ses-job": entry_id(NAME, to)}
        mail = Sent(message_id=message_id_of(to), recipients=(to,), tags=tags, at=at or datetime.now(UTC))
        told = event(kind, mail, at=mail.at)
        return self._store.store(read_event(told)).resolved


class Lost(BulkClient):
    """Takes requests, whose answers are lost while `lost`."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = True
        self.meanwhile: Any = lambda: None

    def send_bulk(self, body: bytes, entries: int) -> Outcome | list[Outcome]:
        answer = super().send_bulk(body, entries)
        if not self.lost:
            return answer
        self.meanwhile()
        return Transient(None, "ReadTimeout", ambiguous=True)


@pytest.fixture
def told(redis_url: str) -> Iterator[Events]:
    store = Store.at(Location(redis_url, None), "")
    yield Events(store)
    store.close()


@pytest.fixture
def sending(redis: Redis) -> str:
    store_campaign(redis, campaign())
    return enqueue(redis, campaign(), TO)


def again(desk: Desk) -> None:
    desk.client.lost = False  # type: ignore[attr-defined]
    make_due(desk.redis)
    desk.work()


def test_entries_that_an_event_has_told_of_are_not_sent_again(
    redis: Redis, told: Events, sending: str
) -> None:
    desk = Desk(redis, Lost(), RetryPolicy(on_unknown="resend"))
    desk.work(rounds=1)
    told.tell(TO[1])
    again(desk)
    assert desk.client.requests == [TO, [TO[0], TO[2]]]
    assert counts(redis) == (3, 3, 0)
    assert fetch(redis, sending).return_value()["entries"][1] == [TO[1], "SUCCESS", message_id_of(TO[1])]


def test_nothing_is_sent_if_all_were_told_of(redis: Redis, told: Events, sending: str) -> None:
    desk = Desk(redis, Lost(), RetryPolicy(on_unknown="resend"))
    [_] = Desk(redis, Lost(), name="dies").claim()
    lose(redis, desk)
    for to in TO:
        told.tell(to, "Delivery")
    again(desk)
    assert desk.client.requests == []
    assert places(redis) == {to: ["finished"] for to in TO}


def test_what_was_told_of_an_earlier_campaign_of_that_name_does_not_count(
    redis: Redis, told: Events, sending: str
) -> None:
    told.tell(TO[1], at=datetime.now(UTC) - timedelta(hours=2))
    desk = Desk(redis, Lost(), RetryPolicy(on_unknown="resend"))
    desk.work(rounds=1)
    again(desk)
    assert desk.client.requests == [TO, TO]


def test_entries_that_are_held_are_finished_each_by_its_event(
    redis: Redis, told: Events, sending: str
) -> None:
    desk = Desk(redis, Lost(), RetryPolicy(on_unknown="hold"))
    desk.work(rounds=1)
    assert places(redis) == {to: ["failed"] for to in TO}
    assert [told.tell(to) for to in TO[:2]] == ["sent", "sent"]
    assert counts(redis) == (3, 2, 0)
    failed = redis.zrange(keys_of(redis).registry("failed", QUEUE), 0, -1)
    assert failed == [entry_id(NAME, TO[2]).encode()]


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_an_event_that_comes_before_the_answer_is_given_up_counts(
    redis: Redis, told: Events, sending: str, on_unknown: Any
) -> None:
    client = Lost()
    client.meanwhile = lambda: told.tell(TO[0])
    Desk(redis, client, RetryPolicy(on_unknown=on_unknown)).work(rounds=1)
    place = "scheduled" if on_unknown == "resend" else "failed"
    assert places(redis) == {TO[0]: ["finished"], TO[1]: [place], TO[2]: [place]}


def test_a_stock_worker_does_not_send_them_again_either(
    redis: Redis, told: Events, sending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Lost()
    monkeypatch.setattr(job, "_sender", lambda: (client, RetryPolicy(on_unknown="resend"), False))
    queue = Queue(QUEUE, connection=redis, serializer=JSONSerializer)
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer)
    worker.work(burst=True)
    told.tell(TO[2])
    client.lost = False
    queue.enqueue_job(fetch(redis, sending))
    worker.work(burst=True)
    assert client.requests == [TO, TO[:2]]
