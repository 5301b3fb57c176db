"""What a call of many messages has done when it ends early, and what it does about keys that are taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from rq_ses import (
    DurabilityUnconfirmed,
    IdempotencyConflict,
    Message,
    Outbox,
    OutboxUnavailable,
    Receipt,
    RqSesError,
    Submission,
    contract,
)
from rq_ses.errors import SendManyInterrupted, UnusableMessage
from rq_ses.outbox.plans import sending
from support.mails.mail import mail


@pytest.fixture
def outbox(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    monkeypatch.setattr(sending, "BATCH_MESSAGES", 10)
    return Outbox(redis, enqueue_timeout=30)  # the machine may be busy with other tests


def queued(redis: Redis) -> list[str]:
    return Queue("mail", connection=redis, serializer=contract.SERIALIZER).get_job_ids()


def mails(count: int, *, then: Any) -> Iterator[Message | Submission]:
    yield from (mail(f"user{number}@example.com") for number in range(count))
    if isinstance(then, Exception):
        raise then
    yield then


@pytest.mark.parametrize("count", [0, 5, 10, 25, 40])
def test_an_iterable_that_raises_is_told_with_the_receipts_of_what_is_enqueued(
    redis: Redis, outbox: Outbox, count: int
) -> None:
    cause = RuntimeError("the database is gone")
    with pytest.raises(SendManyInterrupted, match="RuntimeError: the database is gone") as caught:
        outbox.send_many(mails(count, then=cause))
    assert caught.value.__cause__ is cause
    assert [receipt.job_id for receipt in caught.value.receipts] == queued(redis)
    assert len(queued(redis)) == count // 10 * 10
    assert not isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "unusable",
    ["no message", Submission(mail(), delay=-1), Submission(mail(), key=""), Submission(mail(), expires=-5)],
    ids=["no message", "delay", "key", "expires"],
)
def test_an_element_that_cannot_be_used_is_a_value_error_with_the_receipts_before_it(
    redis: Redis, outbox: Outbox, unusable: Any
) -> None:
    with pytest.raises(UnusableMessage) as caught:
        outbox.send_many(mails(25, then=unusable))
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).endswith("(20 messages are enqueued)")
    assert [receipt.job_id for receipt in caught.value.receipts] == queued(redis)
    assert len(queued(redis)) == 20


def test_a_conflict_in_a_later_batch_has_the_receipts_of_the_earlier_ones(
    redis: Redis, outbox: Outbox
) -> None:
    outbox.send(mail("other@example.com"), key="taken")
    with pytest.raises(IdempotencyConflict) as caught:
        outbox.send_many(mails(25, then=Submission(mail(), key="taken")))
    assert [receipt.job_id for receipt in caught.value.receipts] == queued(redis)[1:]
    assert len(caught.value.receipts) == 20


class Failing:
    """Lets the server refuse from a batch on."""

    def __init__(self, redis: Redis, after: int) -> None:
        self._redis, self._after = redis, after

    def __iter__(self) -> Iterator[Message]:
        for number in range(45):
            if number == self._after:
                self._redis.config_set("maxmemory", 1)
            yield mail(f"user{number}@example.com")


@pytest.fixture
def room(redis: Redis) -> Iterator[None]:
    yield
    redis.config_set("maxmemory", 0)


@pytest.mark.usefixtures("room")
def test_a_server_that_refuses_a_later_batch_leaves_the_receipts_and_the_ids_in_doubt(
    redis: Redis, outbox: Outbox
) -> None:
    with pytest.raises(OutboxUnavailable) as caught:
        outbox.send_many(Failing(redis, after=25))
    ids = [receipt.job_id for receipt in caught.value.receipts]
    assert ids == queued(redis)
    assert len(ids) in (10, 20)  # the batch before was on its way
    assert len(caught.value.job_ids) == 10
    assert not set(ids) & set(caught.value.job_ids)


@pytest.mark.usefixtures("room")
def test_a_durable_call_that_ends_early_tells_of_its_doubt_too(redis: Redis) -> None:
    outbox = Outbox(redis, durable_replicas=1, durable_timeout=0.05)
    batch = [mail() for _ in range(sending.BATCH_MESSAGES)]
    with pytest.raises(SendManyInterrupted) as caught:
        outbox.send_many([*batch, "no message"], durable=True)  # type: ignore[list-item]
    assert len(caught.value.receipts) == len(batch)
    assert "0 of 1 replicas" in caught.value.__notes__[0]
    with pytest.raises(DurabilityUnconfirmed) as unconfirmed:
        outbox.try_send_many([mail(), mail()], durable=True)
    assert len(unconfirmed.value.receipts) == len(unconfirmed.value.results) == 2


def test_of_a_call_that_tries_each_message_every_place_is_known(redis: Redis, outbox: Outbox) -> None:
    outbox.send(mail("other@example.com"), key="taken")

    def mixed() -> Iterator[Message | Submission]:
        yield Submission(mail(), key="taken")
        yield Submission(mail(), delay=-1)
        yield from (mail() for _ in range(12))
        raise OSError("disk")

    with pytest.raises(SendManyInterrupted) as caught:
        outbox.try_send_many(mixed())
    kinds = [type(result) for result in caught.value.results]
    assert kinds == [IdempotencyConflict, ValueError, *[Receipt] * 9]
    assert [receipt.job_id for receipt in caught.value.receipts] == queued(redis)[1:]


def test_every_error_of_ours_has_receipts(outbox: Outbox) -> None:
    with pytest.raises(RqSesError) as caught:
        outbox.send_many(mails(0, then=KeyError("x")))
    assert caught.value.receipts == caught.value.results == ()


# Keys that are taken


def test_a_message_that_is_kept_gives_its_receipt_in_place_of_a_conflict(
    redis: Redis, outbox: Outbox
) -> None:
    first = outbox.send(mail(text="first"), key="k")
    kept = outbox.send(mail(text="second"), key="k", on_conflict="keep")
    assert kept == Receipt(first.job_id, duplicate=True, conflict=True)
    assert outbox.send(mail(text="first"), key="k", on_conflict="keep") == Receipt(
        first.job_id, duplicate=True
    )
    assert queued(redis) == [first.job_id]


def test_keeping_holds_for_many_and_within_one_call(redis: Redis, outbox: Outbox) -> None:
    first = outbox.send(mail(), key="k")
    given = [mail(), Submission(mail(text="other"), key="k"), Submission(mail(text="a"), key="new"),
             Submission(mail(text="b"), key="new")]  # fmt: skip
    for call in (outbox.send_many, outbox.try_send_many):
        plain, kept, new, again = call(given, on_conflict="keep")
        assert kept == Receipt(first.job_id, duplicate=True, conflict=True)
        assert isinstance(new, Receipt)
        assert again == Receipt(new.job_id, duplicate=True, conflict=True)
        assert plain != kept
    assert len(queued(redis)) == 4


@pytest.mark.parametrize("word", ["ignore", None, True])
def test_another_word_for_conflicts_is_refused(redis: Redis, outbox: Outbox, word: Any) -> None:
    calls: list[Any] = [outbox.send, outbox.send_many, outbox.try_send_many]
    for call, argument in zip(calls, (mail(), [mail()], [mail()]), strict=True):
        with pytest.raises(ValueError, match=r"on_conflict: .* can't be used: give one of raise, keep"):
            call(argument, on_conflict=word)
    assert redis.keys("*") == []
