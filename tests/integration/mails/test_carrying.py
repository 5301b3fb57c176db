"""Campaigns where the number of partitions changes: what waits isn't moved, what was sent isn't sent anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.campaign import Entry
from rq_ses.campaign.names import entry_id, indexed
from rq_ses.keys import keys_of
from rq_ses.mails import Mails
from rq_ses.mails.moving import Move, Moved, MoveRefused
from rq_ses.mails.moving import carrying as module
from support.bulk import desk
from support.campaigns.standing import campaign, counts, index_entries
from support.mails.partitioned import QUEUES, THREE, TWO, client

SALE = campaign()
ADDRESSES = [f"user{number}@example.com" for number in range(8)]


@pytest.fixture
def clients(redis_url: str) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(redis_url, prefix)) for prefix in THREE]


def move(redis_url: str, origins: tuple[str, ...], partitions: tuple[str, ...]) -> Moved:
    with closing(Move(redis_url, origins=origins, partitions=partitions, queues=QUEUES)) as moving:
        return moving.run()


def knows_all(one: Redis) -> bool:
    keys = keys_of(one)
    found = [indexed(entry_id("sale", address)) for address in ADDRESSES]
    return all(one.hexists(keys.campaign_index("sale", bucket), field) for bucket, field in found)


def test_a_campaign_that_has_ended_is_known_wherever_its_entries_belong(
    redis_url: str, clients: list[Redis]
) -> None:
    index_entries(clients[0], SALE, ADDRESSES[:5], jobs=7, sent=4, discarded=1)
    index_entries(clients[1], SALE, ADDRESSES[5:], jobs=9, sent=3)
    assert move(redis_url, TWO, THREE).campaigns == 1
    for one in clients:
        assert knows_all(one)
        keys = keys_of(one)
        terms, complete, jobs = one.hmget(keys.campaign("sale"), "terms", "complete", "jobs")
        assert (complete, jobs) == (b"1", b"9")
        assert one.exists(keys.terms(terms.decode())) == 1
        assert one.sismember(keys.campaigns, "sale")
    assert [counts(one) for one in clients] == [
        {"enqueued": 5, "sent": 4, "discarded": 1},
        {"enqueued": 3, "sent": 3},
        {},
    ]


def test_a_prefix_that_is_given_up_leaves_its_counts_to_another_and_nothing_behind(
    redis_url: str, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one, some in zip(clients, (ADDRESSES[:3], ADDRESSES[3:6], ADDRESSES[6:]), strict=True):
        index_entries(one, SALE, some, jobs=1, sent=len(some))
    forget: Any = module._forget

    def breaks_off(source: Any, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_forget", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        move(redis_url, THREE, TWO)
    monkeypatch.setattr(module, "_forget", forget)
    assert move(redis_url, THREE, TWO).campaigns == 1
    assert [counts(one) for one in clients[:2]] == [{"enqueued": 5, "sent": 5}, {"enqueued": 3, "sent": 3}]
    assert all(map(knows_all, clients[:2]))
    assert [
        key for key in clients[2].scan_iter(f"{THREE[2]}:ses:*") if b"campaign" in key or b"terms" in key
    ] == []


@pytest.mark.parametrize(("ended", "value"), [("state", "canceled"), ("complete", "1")])
def test_a_campaign_that_was_broken_off_while_it_was_enqueued_is_not_moved(
    redis_url: str, clients: list[Redis], ended: str, value: str
) -> None:
    # Its index names an entry of which there is no job; moved, that would count as sent.
    index_entries(clients[0], SALE, ADDRESSES, jobs=1, sent=len(ADDRESSES))
    record = keys_of(clients[0]).campaign("sale")
    clients[0].hset(record, mapping={"writing": f"2:{'0' * 32}:1", "written": ""})
    clients[0].hdel(record, "complete")
    with pytest.raises(MoveRefused, match=r"campaign sale under .* was broken off while it was enqueued"):
        move(redis_url, TWO, THREE)
    clients[0].hset(record, ended, value)
    assert move(redis_url, TWO, THREE).campaigns == 1
    assert clients[2].hmget(keys_of(clients[2]).campaign("sale"), "writing", "written") == [None, None]


def test_what_became_of_entries_is_shown_as_before(redis_url: str, clients: list[Redis]) -> None:
    to = desk.addresses(120)
    Outbox(redis_url, partitions=TWO).send_bulk(desk.campaign(), [Entry(one, {"name": "Ann"}) for one in to])
    for one in clients[:2]:
        desk.Desk(one, desk.BulkClient()).work()
    before = [Mails(redis_url, partitions=TWO).entry(desk.NAME, one) for one in to]
    assert {one.status for one in before} == {"finished"}
    move(redis_url, TWO, THREE)
    after = [Mails(redis_url, partitions=THREE).entry(desk.NAME, one) for one in to]
    assert [one.job_id for one in after] == [one.job_id for one in before]
    assert {one.status for one in after} == {"finished"}


def test_a_campaign_whose_entries_wait_is_not_moved(redis_url: str, clients: list[Redis]) -> None:
    index_entries(clients[1], SALE, ADDRESSES, jobs=1, sent=5)
    with pytest.raises(
        MoveRefused, match=r"campaign sale under .* has 3 entries waiting, or failed: with the"
    ):
        move(redis_url, TWO, THREE)
    assert not clients[0].exists(keys_of(clients[0]).suspended)
    # Where nothing is renumbered, they are where they belong.
    assert move(redis_url, TWO, TWO).campaigns == 0
