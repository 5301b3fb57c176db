"""Events in Redis: each once, with all that follows from it, in whatever order they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from rq_ses.feedback.event import Event, read_event
from rq_ses.feedback.store import MOST_COUNTERS, MOST_EVENTS, SOURCE, Store
from rq_ses.keys import Keys
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.suppression.entry import bucket_key
from rq_ses_worker.simulator.events.event import Form, Sent, event
from support.mails.breaking import breaking
from support.mails.partitioned import TWO, client

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})
EVENTS = "rq:ses:events:job1"


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = Store.at(Location(redis_url, None), "")
    yield made
    made.close()


def told(kind: str, mail: Sent = MAIL, form: Form = "eventType", **how: Any) -> Event:
    return read_event(event(kind, mail, form=form, **how))


def counts(redis: Redis) -> dict[str, int]:
    found: Any = redis.hgetall("rq:ses:feedback")
    return {name.decode(): int(count) for name, count in found.items()}


def suppressed(redis: Redis, *addresses: str) -> list[str]:
    keys = Keys.default()
    return sorted(one for one in addresses if redis.hexists(bucket_key(keys, one), one))


def state(redis: Redis, key: str = EVENTS) -> str | None:
    found: Any = redis.hget(key, "state")
    return found and found.decode()


def test_an_event_is_stored_once_with_what_follows_from_it(store: Store, redis: Redis) -> None:
    bounced = told("Bounce")
    assert [store.store(bounced).new for _ in range(3)] == [1, 0, 0]
    assert state(redis) == "bounced"
    assert counts(redis) == {"Bounce Permanent": 1}
    assert suppressed(redis, "b@example.org", "c@example.org") == ["b@example.org"]
    stored: Any = redis.hgetall(EVENTS)
    (value,) = [json.loads(one) for name, one in stored.items() if name != b"state"]
    assert value.pop("at") > 1e9
    assert value == {
        "kind": "Bounce", "recipient": "b@example.org", "type": "Permanent", "subtype": "General",
        "action": "failed", "status": "5.1.1", "detail": "smtp; 550 5.1.1 user unknown",
        "message_id": "0100-m",
    }  # fmt: skip
    assert 1_209_500 < redis.ttl(EVENTS) <= 1_209_600
    assert redis.exists(Keys.default().scratch) == 0


def test_a_bounce_that_is_told_in_both_forms_is_stored_once(store: Store, redis: Redis) -> None:
    redis.set("rq:ses:message:0100-m", "job1")
    for form in ("eventType", "notificationType"):
        store.store(told("Bounce", form=form, about={"feedbackId": "f"}))  # type: ignore[arg-type]
    assert counts(redis) == {"Bounce Permanent": 1}
    assert redis.hlen(EVENTS) == 2


@pytest.mark.parametrize("forms", list(itertools.permutations(["eventType", "notificationType"])))
def test_both_forms_count_once_though_nothing_leads_from_one_to_the_other(
    store: Store, redis: Redis, forms: tuple[Form, Form]
) -> None:
    for form in (*forms, *forms):
        store.store(told("Bounce", form=form, about={"feedbackId": "f"}))
    assert counts(redis) == {"Bounce Permanent": 1}
    assert state(redis) == "bounced"
    assert redis.hlen(EVENTS) == 2
    assert 0 < redis.ttl("rq:ses:events:0100-m") <= 1_209_600


def test_a_notification_without_a_tag_is_kept_under_its_message_id(store: Store, redis: Redis) -> None:
    stored = store.store(told("Complaint", form="notificationType"))
    assert (stored.new, stored.job_id) == (1, "")
    assert state(redis, "rq:ses:events:0100-m") == "complained"
    assert suppressed(redis, "b@example.org") == ["b@example.org"]


def test_a_bounce_of_several_counts_each_recipient_that_is_new_once(store: Store, redis: Redis) -> None:
    both = {"recipients": ["b@example.org", "c@example.org"], "about": {"feedbackId": "f"}}
    one = {"recipients": ["b@example.org"], "about": {"feedbackId": "f"}}
    assert [store.store(told("Bounce", **how)).new for how in (one, both, both)] == [1, 1, 0]
    assert suppressed(redis, "b@example.org", "c@example.org") == ["b@example.org", "c@example.org"]


@pytest.mark.parametrize(
    "kinds", list(itertools.permutations(["Send", "Delivery", "Bounce", "Complaint"]))[::5]
)
def test_the_worst_state_stays_in_any_order(store: Store, redis: Redis, kinds: list[str]) -> None:
    for kind in kinds:
        store.store(told(kind))
    assert state(redis) == "complained"
    assert counts(redis) == {"Send": 1, "Delivery": 1, "Bounce Permanent": 1, "Complaint": 1}


def test_a_repetition_does_not_suppress_whom_somebody_has_let_in_again(store: Store, redis: Redis) -> None:
    bounced = told("Bounce")
    store.store(bounced)
    for key in redis.scan_iter("rq:ses:suppressed*"):
        redis.delete(key)
    assert store.store(bounced).new == 0
    assert suppressed(redis, "b@example.org") == []


def test_a_kind_that_is_new_is_counted_and_kept(store: Store, redis: Redis) -> None:
    assert store.store(told("Teleported")).new == 1
    assert counts(redis) == {"Teleported": 1}
    assert state(redis) is None


def test_kinds_beyond_some_number_are_counted_together(store: Store, redis: Redis) -> None:
    redis.hset("rq:ses:feedback", mapping={f"kind{number}": 1 for number in range(MOST_COUNTERS)})
    for kind in ("One", "Two", "kind3"):
        store.store(told(kind))
    found = counts(redis)
    assert (found["other"], found["kind3"], len(found)) == (2, 2, MOST_COUNTERS + 1)


def test_opens_beyond_some_number_are_counted_and_not_kept_but_a_bounce_is(
    store: Store, redis: Redis
) -> None:
    redis.hset(EVENTS, mapping={f"Open:{number}:": "{}" for number in range(MOST_EVENTS)})
    assert store.store(told("Open")).new == 1
    assert store.store(told("Bounce")).new == 1
    assert redis.hlen(EVENTS) == MOST_EVENTS + 2
    assert counts(redis) == {"Open": 1, "Bounce Permanent": 1}


def test_a_send_counts_for_each_recipient(store: Store, redis: Redis) -> None:
    mail = Sent(message_id="m", recipients=("b@example.org", "c@example.org"), tags={"rq-ses-job": "job1"})
    store.store(told("Send", mail))
    assert counts(redis) == {"Send": 2}


@pytest.mark.parametrize("call", range(1, 18))
def test_wherever_the_script_breaks_off_the_repetition_does_the_rest(
    redis_url: str, redis: Redis, call: int
) -> None:
    store = Store.at(Location(redis_url, None), "")
    bounced, whole = told("Bounce"), store._script
    store._script = redis.register_script(breaking(SOURCE.text, call))
    with suppress(RedisError):  # counters fail alone
        store.store(bounced)
    store._script = whole
    store.store(bounced)
    assert suppressed(redis, "b@example.org") == ["b@example.org"]
    assert state(redis) == "bounced"
    assert redis.hlen(EVENTS) == 2
    store.close()


def test_a_full_server_takes_no_event_and_says_so(redis_url: str, redis: Redis, store: Store) -> None:
    store.store(told("Send"))
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisError):
            store.store(told("Bounce"))
    finally:
        redis.config_set("maxmemory", "0")
    assert state(redis) == "sent"
    assert store.store(told("Bounce")).new == 1


def test_with_partitions_events_are_with_their_mail_and_the_list_is_one_for_all(
    redis_url: str, redis: Redis
) -> None:
    with Partitions.at(Location(redis_url, None), TWO, socket_timeout=5, connect_timeout=5) as partitions:
        store = Store(partitions)
        jobs = [f"job{number}" for number in range(6)]
        for job in jobs:
            mail = Sent(message_id=f"m-{job}", recipients=(f"{job}@example.org",), tags={"rq-ses-job": job})
            assert [store.store(told("Bounce", mail, about={"feedbackId": "f"})).new for _ in "ab"] == [1, 0]
            of = partitions.of(job)
            place = next(prefix for prefix in TWO if partitions.under(prefix) is of)
            assert state(redis, f"{place}:ses:events:{job}") == "bounced"
    with client(redis_url, TWO[1]) as second:
        second.set("{p1}:ses:message:untagged", "its-job")
    untagged = told(
        "Bounce", Sent(message_id="untagged", recipients=("z@example.org",)), form="notificationType"
    )
    with Partitions.at(Location(redis_url, None), TWO, socket_timeout=5, connect_timeout=5) as partitions:
        assert Store(partitions).store(untagged).job_id == "its-job"
    assert state(redis, "{p1}:ses:events:its-job") == "bounced"
    addresses = [f"{job}@example.org" for job in jobs]
    assert suppressed(redis, *addresses, "z@example.org") == [*addresses, "z@example.org"]
