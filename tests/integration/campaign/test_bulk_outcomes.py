"""What hooks are told of a campaign's entries: each once, as it ends."""

from __future__ import annotations

from redis import Redis

from rq_ses.campaign.names import entry_id
from rq_ses.outcomes.outcome import Outcome, read_outcomes
from support.bulk.desk import NAME, BulkClient, Desk, addresses, campaign, enqueue, make_due, store, success
from support.mails.keys import KEYS


def told(redis: Redis) -> dict[str, Outcome]:
    found = [one for _, text in redis.xrange(KEYS.outcomes) for one in read_outcomes(text[b"outcome"])]
    assert len({one.id for one in found}) == len(found)
    return {one.job_id: one for one in found}


def desk_of(redis: Redis, client: BulkClient, entries: int) -> Desk:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(entries))
    desk = Desk(redis, client)
    desk.lifecycle.settling.tell_outcomes(1000)
    return desk


def test_each_entry_of_a_job_that_was_sent_has_an_outcome(redis: Redis) -> None:
    desk_of(redis, BulkClient(), 10).work()
    found = told(redis)
    assert found.keys() == {entry_id(NAME, to) for to in addresses(10)}
    one = found[entry_id(NAME, "to-3@example.com")]
    assert (one.kind, one.to, one.message_id) == ("sent", ("to-3@example.com",), "id-of-to-3@example.com")


def test_of_a_mixture_those_that_are_over_are_told_and_the_others_later(redis: Redis) -> None:
    fates = {
        "to-1@example.com": {"Status": "ACCOUNT_THROTTLED"},
        "to-2@example.com": {"Status": "MESSAGE_REJECTED", "Error": "No."},
    }
    desk = desk_of(redis, BulkClient(lambda to: fates.get(to) or success(to)), 4)
    desk.work(rounds=1)
    kinds = {one.to: one.kind for one in told(redis).values()}
    assert kinds == {
        ("to-0@example.com",): "sent",
        ("to-2@example.com",): "failed",
        ("to-3@example.com",): "sent",
    }
    failed = told(redis)[entry_id(NAME, "to-2@example.com")]
    assert failed.error.startswith("MESSAGE_REJECTED: No.")
    make_due(redis)
    desk.client.answers = success
    desk.work()
    assert {one.to[0] for one in told(redis).values()} == set(addresses(4))


def test_a_job_that_fails_as_a_whole_is_one_outcome_with_all_its_addresses(redis: Redis) -> None:
    desk_of(redis, BulkClient(lambda _: {"Status": "ACCOUNT_SUSPENDED"}), 3).work(rounds=1)
    [one] = told(redis).values()
    assert (one.kind, one.to) == ("failed", tuple(addresses(3)))


def test_nobody_is_told_unless_somebody_wants_to_know(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(3))
    Desk(
        redis,
        BulkClient(lambda to: success(to) if to != "to-1@example.com" else {"Status": "MESSAGE_REJECTED"}),
    ).work(rounds=1)
    assert not redis.exists(KEYS.outcomes)
