"""SES's events, as hooks are told of them: each once, in the step that stores it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis import Redis
from redis.exceptions import RedisError

from rq_ses.feedback.event import Event, read_event
from rq_ses.feedback.store import SOURCE, Store
from rq_ses.outcomes import Outcome
from rq_ses.server.location import Location
from rq_ses_worker.simulator.events.event import Sent, event
from support.mails.breaking import breaking
from support.mails.keys import KEYS

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})


@pytest.fixture
def store(redis_url: str, redis: Redis) -> Iterator[Store]:
    made = Store.at(Location(redis_url, None), "", outcomes=1000)
    yield made
    made.close()


def told(kind: str) -> Event:
    return read_event(event(kind, MAIL, form="eventType"))


def written(redis: Redis) -> list[Outcome]:
    return [Outcome.from_json(fields[b"outcome"]) for _, fields in redis.xrange(KEYS.outcomes)]


def test_an_event_is_told_once_however_often_it_comes(store: Store, redis: Redis) -> None:
    bounced = told("Bounce")
    for _ in range(2):
        store.store(bounced)
    [one] = written(redis)
    assert (one.kind, one.job_id, one.message_id, one.to) == ("Bounce", "job1", "0100-m", ("b@example.org",))
    assert one.detail["type"] == "Permanent"
    store.store(told("Complaint"))
    assert [one.kind for one in written(redis)] == ["Bounce", "Complaint"]


def test_nothing_is_written_where_nobody_wants_to_know(redis_url: str, redis: Redis) -> None:
    store = Store.at(Location(redis_url, None), "")
    store.store(told("Bounce"))
    store.close()
    assert not redis.exists(KEYS.outcomes)


def test_an_event_that_is_stored_is_told_wherever_the_script_breaks_off(store: Store, redis: Redis) -> None:
    whole, bounced = store._script, told("Bounce")
    for call in range(1, 15):
        redis.flushall()
        store._script = redis.register_script(breaking(SOURCE.text, call))
        with suppress(RedisError):
            store.store(bounced)
        if redis.exists("rq:ses:events:job1"):
            assert written(redis)
        store._script = whole
        store.store(bounced)
        assert len({one.id for one in written(redis)}) == 1
