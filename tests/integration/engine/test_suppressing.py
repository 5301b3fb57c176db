"""The suppression list is asked once a claim, where it has addresses, and wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses import Outbox
from rq_ses.keys import Keys
from rq_ses.suppression import Suppression
from rq_ses.suppression.lookup import Lookup
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.account.grants import Grants
from rq_ses_worker.engine.claiming.partition import PartitionLifecycle
from rq_ses_worker.engine.claiming.suppressing import KEPT, marked
from rq_ses_worker.engine.dispatcher import Dispatcher
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.server.connection import connect
from support.mails.mail import mail

PARTITION = Keys("{p0}")


@pytest.fixture(params=["one prefix", "a partition"])
def worker(redis: Redis, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Lifecycle]:
    if request.param == "one prefix":
        yield Lifecycle(redis, ["mail"], "w", "aaaaaaaa", 30.0)
        return
    with connect(redis_url, PARTITION) as client:
        grants = Grants(redis, GatePolicy(), 30.0)
        yield PartitionLifecycle(client, ["mail"], "w", "aaaaaaaa", 30.0, grants)


@pytest.fixture
def outbox(worker: Lifecycle) -> Outbox:
    return Outbox(connection=worker._connection)


class Threads:
    """Senders that keep what they are given."""

    count = idle = 8
    busy = 0
    ended_at = 0.0

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def submit(self, claim: Claim) -> None:
        self.claims.append(claim)


def dispatcher(worker: Lifecycle, threads: Threads, **policy: Any) -> Dispatcher:
    shared = Shared(Leases(30.0))
    settler = Settler(worker, shared)
    return Dispatcher(worker, shared, threads, settler, RetryPolicy(**policy))  # type: ignore[arg-type]


@contextmanager
def counted(redis: Redis, command: str) -> Iterator[list[int]]:
    """Count how often the server is called so in the block."""
    calls: list[int] = []
    before = _calls(redis, command)
    yield calls
    calls.append(_calls(redis, command) - before)


def _calls(redis: Any, command: str) -> int:
    found = redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
    return int(found["calls"])


def test_a_claim_tells_whether_there_is_a_list(redis: Redis, worker: Lifecycle, outbox: Outbox) -> None:
    ours = Suppression(connection=redis)
    seen = []
    for change in (lambda: None, lambda: ours.add("ann@example.com"), lambda: ours.remove("ann@example.com")):
        change()
        outbox.send(mail())
        assert len(worker.claim(8)[0]) == 1
        seen.append(worker.listed)
    assert seen == [False, True, False]


def test_a_list_that_is_empty_costs_no_look(redis: Redis, worker: Lifecycle, outbox: Outbox) -> None:
    outbox.send_many([mail()] * 3)
    threads = Threads()
    with counted(redis, "hget") as calls:
        dispatcher(worker, threads)._step(None)
    assert calls == [0]
    assert [claim.task for claim in threads.claims] == [None] * 3


def test_all_recipients_of_a_claim_are_looked_up_at_once_and_no_mail_is_read_twice(
    redis: Redis, worker: Lifecycle, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Suppression(connection=redis).add("Ann@Example.com", reason="bounce")
    outbox.send_many(
        [
            mail("Ann <ANN@example.com>", bcc=["ben@example.com"]),
            mail("ben@example.com"),
            mail("carl@example.com", cc=["ann@example.com"]),
        ]
    )
    asked: list[int] = []
    look = Lookup.suppressed_of
    monkeypatch.setattr(Lookup, "suppressed_of", lambda *args: asked.append(1) or look(*args))
    threads = Threads()
    ours = dispatcher(worker, threads)
    while len(threads.claims) < 3:
        ours._step(None)
    # The gate of a partition grants tokens before the mails' weights are known.
    assert len(asked) < 3
    assert [list(claim.suppressed) for claim in threads.claims] == [
        ["ann@example.com"],
        [],
        ["ann@example.com"],
    ]
    assert all(isinstance(claim.task, Task) for claim in threads.claims)


def test_a_worker_that_asks_no_list_asks_none(redis: Redis, worker: Lifecycle, outbox: Outbox) -> None:
    Suppression(connection=redis).add("anna@example.com")
    outbox.send(mail())
    threads = Threads()
    dispatcher(worker, threads, suppressed="off")._step(None)
    assert [(claim.task, dict(claim.suppressed)) for claim in threads.claims] == [(None, {})]


def test_what_was_claimed_when_the_list_could_not_be_asked_is_found_again(
    redis: Redis, worker: Lifecycle, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Suppression(connection=redis).add("anna@example.com")
    outbox.send_many([mail(), mail("ben@example.com")])
    threads = Threads()
    ours = dispatcher(worker, threads)

    def away(*_: object) -> None:
        raise ConnectionLost("Connection refused")

    with monkeypatch.context() as broken:
        broken.setattr(Lookup, "suppressed_of", away)
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                ours._step(None)
            ours._lost_replies.note()
    assert threads.claims == []
    ours._step(None)
    assert sorted(len(claim.suppressed) for claim in threads.claims) == [0, 1]
    assert worker.claim(8) == ([], 0)


def test_a_large_mail_is_read_again_and_an_unreadable_one_is_left_to_who_sends_it(
    redis: Redis, worker: Lifecycle, outbox: Outbox
) -> None:
    Suppression(connection=redis).add("anna@example.com")
    outbox.send(mail())
    [claim], _ = worker.claim(1)
    large = claim._replace(data=b'["rq_ses_worker.job.send",null,[' + b" " * KEPT + b"{}],{}]")
    found = marked([large, claim._replace(data=b"?"), claim], worker.suppression)
    assert [(one.task is None, len(one.suppressed)) for one in found] == [(True, 0), (False, 0), (False, 1)]


def test_an_address_is_looked_up_once_however_often_it_is_asked_for(redis: Redis) -> None:
    ours = Suppression(connection=redis)
    for n in range(0, 50, 10):
        ours.add(f"user{n}@example.com")
    with counted(redis, "hget") as calls:
        found = Lookup(redis).suppressed_of([f"user{n}@example.com" for n in range(50)] * 2)
    assert (len(found), calls) == (5, [50])
