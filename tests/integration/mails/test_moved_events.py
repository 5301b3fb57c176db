"""The number of partitions is changed: what SES has told of mails is moved where it is looked for by then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis.exceptions import RedisError

from rq_ses import Outbox
from rq_ses.feedback.event import read_event
from rq_ses.feedback.store import Store
from rq_ses.keys import keys_of
from rq_ses.mails import Mails
from rq_ses.mails.moving import Move
from rq_ses.mails.moving import events as module
from rq_ses.mails.moving import move as moving
from rq_ses.partition import partition_of
from rq_ses.server.location import Location
from rq_ses_worker.simulator.events.event import Sent, event
from support.mails.breaking import lost_at
from support.mails.mail import mail
from support.mails.partitioned import QUEUES, THREE, TWO, client, fill

NAMES = [f"mail-{number}" for number in range(12)]
ELSEWHERE = [name for name in NAMES if TWO[partition_of(name, 2)] != THREE[partition_of(name, 3)]]


@pytest.fixture
def clients(redis_url: str) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {prefix: stack.enter_context(client(redis_url, prefix)) for prefix in THREE}


def move(redis_url: str, origins: tuple[str, ...], partitions: tuple[str, ...]) -> None:
    with closing(Move(redis_url, origins=origins, partitions=partitions, queues=QUEUES)) as moving:
        moving.run()


def tell(clients: dict[str, Any], prefixes: tuple[str, ...], name: str, /, state: str, *kinds: str) -> None:
    one = clients[prefixes[partition_of(name, len(prefixes))]]
    told = {f"{kind}:1:a@example.com": json.dumps({"kind": kind, "at": 1.0}) for kind in kinds}
    one.hset(keys_of(one).events(name), mapping={**told, "state": state})
    one.expire(keys_of(one).events(name), 1000)


def told(clients: dict[str, Any]) -> dict[str, dict[str, dict[bytes, bytes]]]:
    """Return what is told of mails, by their names, and by the prefixes where it is."""
    found: dict[str, dict[str, dict[bytes, bytes]]] = {}
    for prefix, one in clients.items():
        start = keys_of(one).events("")
        for key in one.keys(f"{start}*"):
            assert 0 < one.ttl(key) <= 1000
            found.setdefault(key.decode().removeprefix(start), {})[prefix] = one.hgetall(key)
    return found


def test_what_became_of_mails_is_told_as_before(redis_url: str, clients: dict[str, Any]) -> None:
    ids = [job_id for job_id, key in fill(redis_url, TWO, 6).items() if key.startswith("finished")]
    assert any(partition_of(job_id, 2) != partition_of(job_id, 3) for job_id in ids)
    with closing(Store.at(Location(redis_url, None), ",".join(TWO))) as store:
        tagged = [Sent(message_id=f"0100-{job_id}", tags={"rq-ses-job": job_id}) for job_id in ids]
        untagged = [Sent(message_id=name) for name in NAMES]
        events = [read_event(event("Bounce", one, form="eventType")) for one in (*tagged, *untagged)]
        assert [store.store(one).new for one in events] == [1] * len(events)
    before = [Mails(redis_url, partitions=TWO).show(job_id) for job_id in ids]
    assert {one.feedback for one in before} == {"bounced"}
    move(redis_url, TWO, THREE)
    after = [Mails(redis_url, partitions=THREE).show(job_id) for job_id in ids]
    assert [one.events for one in after] == [one.events for one in before]
    assert {one.feedback for one in after} == {"bounced"}
    # SNS's repetition is known for one.
    with closing(Store.at(Location(redis_url, None), ",".join(THREE))) as store:
        assert [store.store(one).new for one in events] == [0] * len(events)


def test_what_outlives_its_mail_is_moved_whole_and_once(
    redis_url: str, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for name in NAMES:
        tell(clients, TWO, name, "delivered", "Send", "Delivery")
    before = {name: next(iter(found.values())) for name, found in told(clients).items()}
    move(redis_url, TWO, THREE)
    assert told(clients) == {name: {THREE[partition_of(name, 3)]: before[name]} for name in NAMES}
    move(redis_url, THREE, TWO)
    assert told(clients) == {name: {TWO[partition_of(name, 2)]: before[name]} for name in NAMES}


def test_what_was_told_since_at_the_new_place_is_kept_with_it(
    redis_url: str, clients: dict[str, Any]
) -> None:
    worse, better = ELSEWHERE[:2]
    tell(clients, TWO, worse, "bounced", "Send", "Bounce")
    tell(clients, THREE, worse, "delivered", "Delivery")
    tell(clients, TWO, better, "sent", "Send")
    tell(clients, THREE, better, "complained", "Complaint")
    move(redis_url, TWO, THREE)
    kept = {name: next(iter(found.values())) for name, found in told(clients).items()}
    assert {name: len(found) for name, found in told(clients).items()} == {worse: 1, better: 1}
    assert kept[worse].keys() == {
        b"state", b"Send:1:a@example.com", b"Bounce:1:a@example.com", b"Delivery:1:a@example.com"
    }  # fmt: skip
    assert kept[worse][b"state"] == b"bounced"
    assert kept[better].keys() == {b"state", b"Send:1:a@example.com", b"Complaint:1:a@example.com"}
    assert kept[better][b"state"] == b"complained"


def test_an_event_that_is_stored_meanwhile_is_moved_too(
    redis_url: str, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ELSEWHERE[0]
    tell(clients, TWO, name, "sent", "Send")
    writing, late = module._write, ["Bounce"]

    def another(*args: Any) -> None:
        writing(*args)
        if late:
            tell(clients, TWO, name, "bounced", late.pop())

    monkeypatch.setattr(module, "_write", another)
    move(redis_url, TWO, THREE)
    [found] = told(clients)[name].values()
    assert found.keys() == {b"state", b"Send:1:a@example.com", b"Bounce:1:a@example.com"}
    assert found[b"state"] == b"bounced"


def test_what_leads_from_a_message_id_to_its_mail_goes_where_that_belongs(
    redis_url: str, clients: dict[str, Any]
) -> None:
    for name in NAMES:
        one = clients[TWO[partition_of(name, 2)]]
        one.set(keys_of(one).message(f"0100-{name}"), name, ex=1000)
    one.hset(keys_of(one).message("0100-spoilt"), "of", "another type")
    move(redis_url, TWO, THREE)
    found = {}
    for prefix, one in clients.items():
        for key in one.keys(keys_of(one).message("0100-mail*")):
            assert 0 < one.ttl(key) <= 1000
            found[one.get(key).decode()] = prefix
    assert found == {name: THREE[partition_of(name, 3)] for name in NAMES}
    with closing(Store.at(Location(redis_url, None), ",".join(THREE))) as store:
        name = ELSEWHERE[0]
        bounced = read_event(event("Bounce", Sent(message_id=f"0100-{name}"), form="notificationType"))
        assert store.store(bounced).job_id == name
    one = clients[THREE[partition_of(name, 3)]]
    assert one.hget(keys_of(one).events(name), "state") == b"bounced"


def test_what_is_told_of_a_mail_that_stays_stays_with_it(redis_url: str, clients: dict[str, Any]) -> None:
    # Of another queue under the same prefixes, which is moved by itself.
    name = next(
        receipt.job_id
        for receipt in Outbox(redis_url, queue="other", partitions=TWO).send_many([mail()] * 20)
        if partition_of(receipt.job_id, 2) != partition_of(receipt.job_id, 3)
    )
    one = clients[TWO[partition_of(name, 2)]]
    tell(clients, TWO, name, "sent", "Send")
    one.set(keys_of(one).message("0100-m"), name)
    move(redis_url, TWO, THREE)
    assert told(clients)[name].keys() == {TWO[partition_of(name, 2)]}
    assert one.get(keys_of(one).message("0100-m")) == name.encode()


def test_broken_off_anywhere_nothing_that_was_told_is_lost(
    redis_url: str, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    # All but events is looked at elsewhere, and takes its calls.
    monkeypatch.setattr(moving.Move, "_walk", lambda *_: iter(()))
    for name in NAMES[:5]:
        tell(clients, TWO, name, "delivered", "Send", "Delivery")
    before = {name: next(iter(found.values())) for name, found in told(clients).items()}
    for calls in range(1, 400):
        broken = False
        with lost_at(calls) as commands:
            try:
                move(redis_url, TWO, THREE)
            except RedisError:
                broken = True
        for name, found in told(clients).items():
            assert all(one == before[name] for one in found.values())
        assert told(clients).keys() == before.keys()
        if not broken and commands.left > 0:
            break
    assert calls > 20
    assert told(clients) == {name: {THREE[partition_of(name, 3)]: before[name]} for name in before}
