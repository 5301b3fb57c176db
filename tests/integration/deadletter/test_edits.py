"""Mails that are changed on their way back into the queue."""

from __future__ import annotations

import pytest
from redis import Redis

from rq_ses import IdempotencyConflict, Outbox, Submission, contract
from rq_ses.deadletter import DeadLetters, EditRefused, Filter, Resent
from rq_ses_worker.lifecycle.task import read_job
from support.mails.deadletters import (
    fail,
    mails,
    queued,
    standing_failed,
)
from support.mails.mail import fetch, mail


def test_mails_are_changed_in_the_step_that_moves_them(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30, tags={"a": "1"}))
    result = letters.resend(
        edits={"sender": "new@shop.example", "tags": {"b": "2"}, "reply_to": ["r@x.example"]}
    )
    assert result == Resent(resent=30)
    for number, job_id in enumerate(ids):
        task = read_job(redis.hget(f"rq:job:{job_id}", "data"))
        assert task.message == mail(
            f"user{number}@example.com", sender="new@shop.example", tags={"a": "1", "b": "2"},
            reply_to="r@x.example",
        )  # fmt: skip
        assert fetch(redis, job_id).description == f"user{number}@example.com → Hi"


def test_new_recipients_are_counted_and_described(redis: Redis, letters: DeadLetters) -> None:
    [one, other] = fail(redis, [mail(cc=["c@d.example", "e@f.example"]), mail()])
    letters.resend(Filter(ids=[one]), edits={"to": "anna@new.example", "cc": ["ben@new.example"]})
    assert fetch(redis, one).description == "anna@new.example (+1) → Hi"
    assert redis.hget(f"rq:job:{one}", contract.RECIPIENTS_FIELD) == b"2"
    assert queued(redis) == [one]
    assert standing_failed(redis) == {other}


def test_an_edit_that_isn_t_valid_moves_nothing(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30))
    for edits in ({"sender": "nobody"}, {"tags": {"a b": "c"}}, {"nonsense": "x"}, {"to": "all@one.example"}):
        with pytest.raises(EditRefused):
            letters.resend(edits=edits)
    assert standing_failed(redis) == set(ids)
    assert queued(redis) == []


def test_a_key_goes_on_standing_for_the_message_it_was_given_with(redis: Redis, letters: DeadLetters) -> None:
    outbox = Outbox(redis)
    [job_id] = fail(redis, [Submission(mail(), key="order-1")])
    letters.resend(edits={"sender": "new@shop.example"})
    again = outbox.send(mail(), key="order-1")
    assert (again.job_id, again.duplicate) == (job_id, True)
    with pytest.raises(IdempotencyConflict):
        outbox.send(mail(sender="new@shop.example"), key="order-1")
    assert queued(redis) == [job_id]
