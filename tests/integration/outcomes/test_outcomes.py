"""What a worker writes down of mails that end, and how a group is told of it, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.outcomes import Outcome
from rq_ses.outcomes.delivery import PARCELS, Delivery, Trouble
from rq_ses.outcomes.outcome import written as written_together
from rq_ses.outcomes.stream import Entry, OutcomeStream
from support.mails.breaking import each_break
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.mails.world import QUEUE, World, ending


def written(redis: Redis) -> list[Outcome]:
    return [Outcome.from_json(fields[b"outcome"]) for _, fields in redis.xrange(KEYS.outcomes)]


def ended(redis: Redis, *actions: str) -> list[str]:
    """Let mails end so, and return their ids."""
    world = World(redis)
    world.ours.settling.tell_outcomes(1000)
    ids = [world.outbox.send(mail()).job_id for _ in actions]
    claims = world.claim()
    world.ours.settle(
        [ending(claim.lease, action) for claim, action in zip(claims, actions, strict=True)], clock=0
    )
    return ids


def test_the_end_of_a_mail_is_written_and_a_retry_is_none(redis: Redis) -> None:
    ids = ended(redis, "sent", "retry", "failed", "back")
    sent, failed = written(redis)
    assert (sent.kind, sent.job_id, sent.queue, sent.message_id) == ("sent", ids[0], QUEUE, "m")
    assert (failed.kind, failed.job_id, failed.error) == ("failed", ids[2], "MessageRejected: no")
    assert sent.id.startswith(f"{ids[0]}:")
    assert sent.attempts == failed.attempts == 1


def test_nothing_is_written_where_nobody_wants_to_know(redis: Redis) -> None:
    world = World(redis)
    world.outbox.send(mail())
    world.send(world.ours, world.claim())
    assert not redis.exists(KEYS.outcomes)


@pytest.mark.parametrize("action", ["sent", "failed"])
def test_an_outcome_stands_wherever_its_settlement_breaks_off(redis: Redis, action: str) -> None:
    def act(number: int) -> None:
        world = World(redis)
        world.ours.settling.tell_outcomes(1000)
        job_id = world.outbox.send(mail()).job_id
        [claim] = world.claim()
        end = [ending(claim.lease, action)]
        world.broken_off(world.scripts["settle"], number, lambda: world.ours.settle(end, clock=0))
        place = {"sent": b"finished"}.get(action, action.encode())
        if redis.hget(KEYS.job(job_id), "status") == place:
            assert written(redis)
        world.ours.settle(end, clock=0)
        told = written(redis)
        assert {one.id for one in told} == {claim.lease.member}
        assert {one.kind for one in told} == {action}

    assert each_break(redis, act) > 10


def test_a_stream_that_is_none_keeps_no_mail_from_being_settled(redis: Redis) -> None:
    redis.set(KEYS.outcomes, "else")
    [job_id] = ended(redis, "sent")
    assert redis.hget(KEYS.job(job_id), "status") == b"finished"


def test_a_sent_outcome_is_written_although_the_lease_had_gone(redis: Redis) -> None:
    world = World(redis)
    world.ours.settling.tell_outcomes(1000)
    world.outbox.send(mail())
    [claim] = world.claim()
    world.ours_is_lost()
    assert world.ours.settle([ending(claim.lease, "sent")], clock=0) == ["late"]
    assert [one.kind for one in written(redis)] == ["sent"]


def test_a_mail_that_an_event_has_finished_is_told_as_sent_however_its_attempt_ended(redis: Redis) -> None:
    for action in ("retry", "failed"):
        world = World(redis)
        world.ours.settling.tell_outcomes(1000)
        job_id = world.outbox.send(mail()).job_id
        [claim] = world.claim()
        redis.hset(KEYS.job(job_id), "rq_ses_accepted", "e30=")
        assert world.ours.settle([ending(claim.lease, action)], clock=0) == ["told"]
        assert (written(redis)[-1].kind, written(redis)[-1].id) == ("sent", claim.lease.member)


# Told


class Receiver:
    """Takes outcomes, except those it is told to refuse."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.calls: list[list[str]] = []

    def __call__(self, outcomes: Sequence[Outcome]) -> None:
        self.calls.append([one.job_id for one in outcomes])
        if self.refused & {one.job_id for one in outcomes}:
            raise ValueError("not these")

    @property
    def taken(self) -> list[str]:
        return [one for call in self.calls if not self.refused & set(call) for one in call]


def delivery(redis: Redis, receiver: Receiver, group: str = "webhook", **options: Any) -> Delivery:
    return Delivery(OutcomeStream(redis, group), receiver, **options)


def waiting(redis: Redis, group: str = "webhook") -> int:
    """Return how many outcomes the group has yet to be told."""
    [found] = [one for one in redis.xinfo_groups(KEYS.outcomes) if one["name"] == group.encode()]
    return int(found["pending"]) + int(found["lag"])


def test_each_group_is_told_each_outcome_once(redis: Redis) -> None:
    ids = ended(redis, "sent", "sent", "sent")
    first, second, other = Receiver(), Receiver(), Receiver()
    for one in (delivery(redis, first), delivery(redis, second), delivery(redis, other, "django", parcel=1)):
        one.step()
    assert (first.calls, second.calls) == ([ids], [])
    assert other.calls == [[job_id] for job_id in ids]
    assert waiting(redis) == waiting(redis, "django") == 0


def test_what_stands_at_one_place_is_told_together_in_parcels_of_a_bounded_size(redis: Redis) -> None:
    for place in range(4):
        several = [Outcome(id=f"{place}.{n}", kind="sent", job_id=f"{place}.{n}") for n in range(3)]
        redis.xadd(KEYS.outcomes, {"outcome": written_together(several)})
    one = delivery(redis, receiver := Receiver(), parcel=6)
    one.step()
    assert [len(call) for call in receiver.calls] == [6, 6]
    large = delivery(redis, receiver := Receiver(), "python:x", parcel=1)
    large.step()
    assert [len(call) for call in receiver.calls] == [3, 3, 3, 3]


def test_what_is_not_taken_is_told_again_and_holds_up_no_others(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses.outcomes.delivery.FIRST_PAUSE", 0.0)
    ids = ended(redis, "sent", "sent", "sent", "sent")
    receiver = Receiver(ids[2])
    one = delivery(redis, receiver)
    for _ in range(8):
        one.step()
    assert receiver.calls[:2] == [ids, ids]
    assert sorted(receiver.taken) == sorted(set(ids) - {ids[2]})
    assert (one.held, waiting(redis)) == (1, 1)
    receiver.refused.clear()
    one.step()
    assert (one.held, waiting(redis)) == (0, 0)


def test_somebody_who_is_away_is_not_asked_ever_more_often(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses.outcomes.delivery.FIRST_PAUSE", 0.0)
    ids = ended(redis, *["sent"] * 20)
    for _ in range(4):
        ids += ended(redis, *["sent"] * 20)
    receiver = Receiver(*ids)
    one = delivery(redis, receiver)
    for _ in range(12):
        one.step()
    before = len(receiver.calls)
    one.step()
    assert len(receiver.calls) - before <= PARCELS
    assert one.held == 100


def test_what_a_dead_reader_held_is_told_by_another(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ended(redis, "sent", "sent")
    stream = OutcomeStream(redis, "webhook")
    stream.join()
    assert [one.job_id for entry in stream.take(10) for one in entry.outcomes] == ids
    receiver = Receiver()
    delivery(redis, receiver).step()
    assert receiver.calls == []
    assert len(stream.take_abandoned(10, after=0)) == 2
    monkeypatch.setattr(OutcomeStream.take_abandoned, "__kwdefaults__", {"after": 0})
    delivery(redis, receiver).step()
    assert receiver.taken == ids


def test_what_is_told_slowly_is_not_taken_for_left(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ended(redis, "sent", "sent")
    take, other, left = OutcomeStream.take, OutcomeStream(redis, "webhook"), list[Entry]()

    def long_ago(stream: OutcomeStream, most: int) -> list[Entry]:
        found = take(stream, most)
        stream.release([entry.place for entry in found])
        return found

    monkeypatch.setattr(OutcomeStream, "take", long_ago)
    monkeypatch.setattr("rq_ses.outcomes.delivery.KEEP", 0.0)
    told = list[str]()

    def slow(outcomes: Sequence[Outcome]) -> None:
        told.extend(one.job_id for one in outcomes)
        left.extend(other.take_abandoned(10))

    Delivery(OutcomeStream(redis, "webhook"), slow, parcel=1).step()
    assert (told, left) == (ids, [])


def test_a_reader_that_ends_lets_go_of_what_it_holds_at_once(redis: Redis) -> None:
    ids = ended(redis, "sent", "sent")
    one = delivery(redis, Receiver(*ids))
    one.step()
    one.drain(5.0)
    assert (one.held, waiting(redis)) == (0, 2)
    receiver = Receiver()
    delivery(redis, receiver).step()
    assert receiver.taken == ids


def test_what_is_left_at_the_end_is_told_first(redis: Redis) -> None:
    one = delivery(redis, receiver := Receiver())
    one.step()
    ids = ended(redis, "sent", "sent")
    one.drain(5.0)
    assert receiver.taken == ids


def test_what_all_groups_are_done_with_is_dropped(redis: Redis) -> None:
    ended(redis, "sent", "sent", "sent")
    django = OutcomeStream(redis, "django")
    django.join()
    one = delivery(redis, Receiver())
    one.step()
    stream = OutcomeStream(redis, "webhook")
    assert stream.trim() == 3
    held = django.take(1)
    assert stream.trim() == 3
    django.done([entry.place for entry in [*held, *django.take(10)]])
    assert stream.trim() == 1


def test_an_outcome_that_nobody_takes_for_days_is_given_up_and_one_that_is_none_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses.outcomes.delivery.GIVE_UP", -3600.0)
    [job_id] = ended(redis, "sent")
    redis.xadd(KEYS.outcomes, {"outcome": "no JSON"})
    heard: list[Trouble] = []
    one = delivery(redis, Receiver(job_id), told=heard.append)
    one.step()
    told = [(one.kind, one.outcome and one.outcome.job_id) for one in heard]
    assert told == [("given up", None), ("refused", None), ("given up", job_id)]
    assert (one.held, waiting(redis)) == (0, 0)


def test_a_stream_that_is_full_is_told_of(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rq_ses.outcomes.delivery.TIDY", 0.0)
    heard: list[Trouble] = []
    one = delivery(redis, Receiver(), told=heard.append, full=1)
    one.step()
    OutcomeStream(redis, "idle").join()
    ended(redis, "sent")
    one.step()
    one.step()
    assert {one.kind for one in heard} == {"full"}


def test_a_group_whose_stream_is_gone_begins_anew(redis: Redis) -> None:
    one = delivery(redis, receiver := Receiver())
    one.step()
    redis.flushall()
    ids = ended(redis, "sent")
    for _ in range(2):
        one.step()
    assert receiver.taken == ids


@pytest.mark.parametrize("written", [False, True])
def test_a_group_whose_stream_is_found_gone_while_tidying_begins_anew(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    monkeypatch.setattr("rq_ses.outcomes.delivery.TIDY", 0.0)
    one = delivery(redis, receiver := Receiver())
    for _ in range(2):
        one.step()
    redis.flushall()
    ids = ended(redis, "sent") if written else []
    with pytest.raises(ResponseError):
        one.step()
    ids = ids or ended(redis, "sent")
    for _ in range(2):
        one.step()
    assert receiver.taken == ids
