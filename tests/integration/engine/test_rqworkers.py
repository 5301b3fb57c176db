"""A worker's entry is what RQ itself would write, and what RQ's own classes read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Worker, worker_registration
from rq.utils import utcparse

from rq_ses.keys import Keys
from rq_ses_worker.engine.rqworkers import BUSY, IDLE, RqEntry

QUEUES = ("mail-high", "mail")


def entry(redis: Redis, name: str = "ours", **traits: object) -> RqEntry:
    return RqEntry(redis, name, QUEUES, traits)


def stored(redis: Redis, name: str) -> dict[str, str]:
    found: Any = redis.hgetall(Keys.default().worker(name))
    return {field.decode(): value.decode() for field, value in found.items()}


def test_the_hash_is_that_of_rqs_own_worker(redis: Redis) -> None:
    theirs = Worker(list(QUEUES), name="theirs", connection=redis)
    theirs.register_birth()
    ours = entry(redis, rq_ses_threads=4)
    ours.write()
    expected, found = stored(redis, "theirs"), stored(redis, "ours")
    assert found.pop("rq_ses_threads") == "4"
    assert found.keys() == expected.keys()
    for field in ("queues", "pid", "hostname", "version", "python_version"):
        assert found[field] == expected[field]
    assert found["ip_address"].startswith("127.0.0.1:")
    for field in ("birth", "last_heartbeat"):
        assert abs(utcparse(found[field]) - utcparse(expected[field])) < timedelta(seconds=60)
    assert 0 < redis.ttl(ours.key) <= 120
    assert ours.key == theirs.key.replace("theirs", "ours")
    assert ours.channel == theirs.pubsub_channel_name.replace("theirs", "ours")


def test_rqs_classes_find_it_while_it_is_there(redis: Redis) -> None:
    ours = entry(redis)
    assert not ours.taken()
    ours.write()
    ours.set_state("started")
    assert [worker.name for worker in Worker.all(connection=redis)] == ["ours"]
    ours.beat(BUSY, datetime.now(UTC))
    (worker,) = Worker.all(queue=Queue("mail", connection=redis))
    assert (worker.get_state(), worker.queue_names()) == (BUSY, list(QUEUES))
    assert worker.shutdown_requested_date is not None
    assert entry(redis).taken()
    ours.end()
    assert Worker.all(connection=redis) == []
    assert "death" in stored(redis, "ours")
    assert not entry(redis).taken()


@pytest.mark.parametrize("lost", ["expired", "flushed"])
def test_a_beat_mends_what_the_server_has_lost(redis: Redis, lost: str) -> None:
    ours = entry(redis)
    ours.write()
    born = stored(redis, "ours")["birth"]
    if lost == "expired":
        redis.delete(ours.key)
    else:
        redis.flushdb()
    ours.beat(IDLE, None)
    assert stored(redis, "ours")["birth"] == born
    assert [worker.name for worker in Worker.all(connection=redis)] == ["ours"]


def test_names_whose_hashes_have_expired_are_cleaned_as_rq_does(redis: Redis) -> None:
    keys, queue = Keys.default(), Queue("mail", connection=redis)
    gone = [keys.worker(f"gone{number}") for number in range(3)]
    for places in (keys.workers, keys.workers_at("mail")):
        redis.sadd(places, *gone)
    ours = entry(redis)
    ours.write()
    assert queue.acquire_maintenance_lock()
    ours.clean()  # RQ is at it
    assert len(worker_registration.get_keys(queue)) == 4
    queue.release_maintenance_lock()
    ours.clean()
    assert worker_registration.get_keys(queue) == {ours.key}
    assert worker_registration.get_keys(connection=redis) == {ours.key}
    assert queue.acquire_maintenance_lock()
