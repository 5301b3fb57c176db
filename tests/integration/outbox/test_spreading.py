"""An Outbox of a queue with partitions writes each mail where it belongs, and tells what it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis import Redis

from rq_ses import IdempotencyConflict, Outbox, OutboxUnavailable, Submission, contract
from rq_ses.keys import keys_of
from rq_ses.outbox.plans import sending
from rq_ses.partition import partition_of
from support.mails.mail import mail
from support.mails.partitioned import THREE, client, standing

KEYS = [f"order-{number}" for number in range(40)]


@pytest.fixture
def outbox(redis_url: str) -> Outbox:
    return Outbox(redis_url, partitions=THREE, enqueue_timeout=5)


@pytest.fixture
def clients(redis_url: str) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(redis_url, prefix)) for prefix in THREE]


def place(key: str) -> int:
    return partition_of(contract.keyed_job_id("mail", key), 3)


def by_place(number: int) -> list[str]:
    return [key for key in KEYS if place(key) == number]


@pytest.mark.waitaof
def test_each_mail_stands_where_its_key_is_and_nothing_stands_elsewhere(
    redis: Redis, outbox: Outbox, clients: list[Redis]
) -> None:
    for key in KEYS[:6]:
        receipt = outbox.send(mail(), key=key, expires=600, durable=True)
        assert keys_of(clients[place(key)]).job(receipt.job_id).encode() in redis.keys("*:job:*")
    assert all(key[:4] in (b"{p0}", b"{p1}", b"{p2}") for key in redis.keys("*"))
    assert sum(len(jobs) for jobs in standing(clients).values()) == 6
    assert outbox.send(mail(), key=KEYS[0]).duplicate


def test_many_are_split_and_their_receipts_come_in_order(
    outbox: Outbox, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BATCH_MESSAGES", 16)
    wanted = [Submission(mail(), key=key) for key in KEYS] + [mail("b@example.com") for _ in range(30)]
    receipts = outbox.send_many(wanted)
    assert [one.job_id for one in receipts[:40]] == [contract.keyed_job_id("mail", key) for key in KEYS]
    found = standing(clients)
    assert {THREE[partition_of(one.job_id, 3)] for one in receipts} == set(THREE)
    assert all(one.job_id in found[THREE[partition_of(one.job_id, 3)]] for one in receipts)
    assert sum(map(len, found.values())) == 70
    # In a partition they wait in the order in which they were given.
    for number, one in enumerate(clients):
        listed = [job_id.decode() for job_id in one.lrange(keys_of(one).queue("mail"), 0, -1)]
        assert listed == [r.job_id for r in receipts if partition_of(r.job_id, 3) == number]
    assert all(one.duplicate for one in outbox.send_many(wanted[:40]))


def test_a_conflict_refuses_its_partitions_part_and_names_what_others_took(
    outbox: Outbox, clients: list[Redis]
) -> None:
    taken = by_place(1)[0]
    outbox.send(mail(subject="first"), key=taken)
    with pytest.raises(IdempotencyConflict) as caught:
        outbox.send_many([Submission(mail(), key=key) for key in KEYS])
    assert caught.value.key == taken
    enqueued = {one.job_id for one in caught.value.receipts}
    assert enqueued == {contract.keyed_job_id("mail", key) for key in by_place(0)}
    assert [len(jobs) for jobs in standing(clients).values()] == [len(enqueued), 1, 0]
    results = outbox.try_send_many([Submission(mail(), key=key) for key in KEYS])
    assert [key for key, one in zip(KEYS, results, strict=True) if isinstance(one, Exception)] == [taken]


def test_a_partition_that_refuses_leaves_known_what_the_others_took(
    outbox: Outbox, clients: list[Redis]
) -> None:
    clients[2].set(keys_of(clients[2]).queue("mail"), "not a list")
    with pytest.raises(OutboxUnavailable) as caught:
        outbox.send_many([Submission(mail(), key=key) for key in KEYS])
    ids = {number: {contract.keyed_job_id("mail", key) for key in by_place(number)} for number in range(3)}
    assert {one.job_id for one in caught.value.receipts} == ids[0] | ids[1]
    assert set(caught.value.job_ids) == ids[2]
    clients[2].delete(keys_of(clients[2]).queue("mail"))
    assert len(outbox.send_many([Submission(mail(), key=key) for key in KEYS])) == 40


def test_one_mail_asks_its_own_partition_alone(outbox: Outbox, clients: list[Redis]) -> None:
    for one in clients[1:]:
        one.set(keys_of(one).queue("mail"), "not a list")
    assert not outbox.send(mail(), key=by_place(0)[0]).duplicate
    with pytest.raises(OutboxUnavailable):
        outbox.send(mail(), key=by_place(1)[0])


def test_what_is_enqueued_without_partitions_stands_under_the_own_prefix(
    redis: Redis, redis_url: str
) -> None:
    outbox = Outbox(redis_url)
    outbox.send_many([mail()] * 3)
    assert all(key.startswith(b"rq:") for key in redis.keys("*"))
    with pytest.raises(ValueError, match=r"^partitions: 'rq' is the deployment's own prefix"):
        Outbox(redis_url, partitions="a,rq")
