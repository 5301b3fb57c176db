"""Mails of a transaction: enqueued when it is committed, in one step, and not if it is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.mail import EmailMessage, send_mail
from django.db import connection, transaction
from django.test import TestCase
from redis import Redis

from rq_ses import Outbox, OutboxUnavailable
from rq_ses.errors import IdempotencyConflict
from support.django_project.project import sending
from support.servers.ports import free_port

QUEUE = "rq:queue:mail"


def mail(subject: str = "S", **terms: Any) -> Any:
    one = EmailMessage(subject, "T", to=["anna@customer.example"])
    if terms:
        one.rq_ses = terms
    return one


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction, or a part of one, that fails at its end."""
    with suppress(ZeroDivisionError), transaction.atomic():
        yield
        raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _mailer() -> Iterator[None]:
    with sending():
        yield


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each call to an Outbox had."""
    found: list[int] = []
    real = Outbox.try_send_many

    def noted(self: Outbox, messages: Any, **options: Any) -> Any:
        messages = list(messages)
        found.append(len(messages))
        return real(self, messages, **options)

    monkeypatch.setattr(Outbox, "try_send_many", noted)
    return found


def test_a_mail_waits_for_the_commit(redis: Redis) -> None:
    one = mail()
    with transaction.atomic():
        assert one.send() == 1
        assert one.rq_ses_receipt is None
        assert redis.llen(QUEUE) == 0
    assert redis.llen(QUEUE) == 1
    assert redis.lindex(QUEUE, 0) == one.rq_ses_receipt.job_id.encode()


def test_without_a_transaction_it_is_enqueued_at_once(redis: Redis) -> None:
    assert mail().send() == 1
    assert redis.llen(QUEUE) == 1


def test_what_is_rolled_back_sends_nothing(redis: Redis) -> None:
    with rolled_back():
        mail().send()
    with transaction.atomic():
        mail("kept").send()
        with rolled_back():
            mail("rolled back").send()
    assert redis.llen(QUEUE) == 1


def test_the_mails_of_a_transaction_are_one_call(redis: Redis, calls: list[int]) -> None:
    order: list[str] = []
    with transaction.atomic():
        mail("a").send()
        transaction.on_commit(lambda: order.append(f"other after {calls}"))
        mail("b").send()
        with transaction.atomic(savepoint=False):
            mail("c").send()
        send_mail("d", "T", None, ["anna@customer.example"])
    assert calls == [4]
    assert order == ["other after [4]"]
    assert redis.llen(QUEUE) == 4


def test_each_savepoint_has_a_call_of_its_own_for_it_may_be_rolled_back(
    redis: Redis, calls: list[int]
) -> None:
    with transaction.atomic():
        mail("a").send()
        with transaction.atomic():
            mail("b").send()
            mail("c").send()
        with rolled_back():
            mail("rolled back").send()
        mail("d").send()
    assert sorted(calls) == [2, 2]
    assert redis.llen(QUEUE) == 4


def test_a_callback_that_fails_between_them_loses_none(redis: Redis) -> None:
    def fails() -> None:
        raise RuntimeError("a callback of somebody else's")

    with pytest.raises(RuntimeError, match="somebody"), transaction.atomic():  # noqa: PT012 - its end raises
        mail("a").send()
        transaction.on_commit(fails)
        mail("b").send()
    assert redis.llen(QUEUE) == 2


def test_a_batch_is_over_with_its_transaction(redis: Redis, calls: list[int]) -> None:
    with rolled_back():
        mail().send()
    for _ in range(2):
        with transaction.atomic():
            mail().send()
    assert calls == [1, 1]


def test_using_names_the_database(redis: Redis) -> None:
    with sending(using="other"):
        with transaction.atomic(using="other"):
            mail().send()
            assert redis.llen(QUEUE) == 0
        assert redis.llen(QUEUE) == 1
        with transaction.atomic():
            mail().send()
            assert redis.llen(QUEUE) == 2


def test_on_commit_can_be_switched_off(redis: Redis) -> None:
    with sending(on_commit=False), transaction.atomic():
        mail().send()
        assert redis.llen(QUEUE) == 1


def test_an_unfit_mail_is_refused_in_the_view(redis: Redis) -> None:
    with transaction.atomic():
        with pytest.raises(ValueError, match="is not an e-mail address"):
            send_mail("S", "T", None, ["nobody"])
        with pytest.raises(ValueError, match="priority"):
            mail(priority="urgent").send()
        mail().send()
    assert redis.llen(QUEUE) == 1


def test_a_conflict_of_keys_keeps_no_other_mail_back(redis: Redis) -> None:
    mail("first", key="k").send()
    one = mail("second", key="k")
    with pytest.raises(IdempotencyConflict, match="'k' already"), transaction.atomic():  # noqa: PT012
        mail("a").send()
        one.send()
        mail("b").send()
    assert redis.llen(QUEUE) == 3
    assert one.rq_ses_receipt is None


def test_a_conflict_keeps_no_mail_of_another_savepoint_or_backend_back(redis: Redis) -> None:
    mail(key="one").send()

    @transaction.atomic
    def view() -> None:
        mail("another", key="one").send()
        with transaction.atomic():
            mail("of a savepoint").send()
        with rolled_back():
            mail("of a savepoint that is rolled back").send()
        with transaction.atomic():
            mail("a third", key="one").send()
        with sending(priority="high"):
            mail("of another backend").send()

    with pytest.raises(IdempotencyConflict) as caught:
        view()
    assert redis.llen(QUEUE) == 2
    assert redis.llen(f"{QUEUE}-high") == 1
    assert "one" in caught.value.__notes__[0]


def test_redis_that_is_away_is_told_after_the_commit(caplog: pytest.LogCaptureFixture) -> None:
    gone = {"redis_url": f"redis://127.0.0.1:{free_port()}/0", "enqueue_timeout": 0.01}
    with sending(**gone), pytest.raises(OutboxUnavailable), transaction.atomic():
        mail().send()
    with sending(**gone, fail_silently=True), transaction.atomic():
        assert mail().send() == 1
    assert "0 of 1 mails are known to be enqueued: Redis did not take 1 message" in caplog.text


def test_a_test_that_runs_callbacks_sees_the_mails_of_its_block(redis: Redis) -> None:
    with transaction.atomic():
        mail("before").send()
        for expected in (1, 2):
            with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
                mail("inside").send()
            assert len(callbacks) == 1
            assert redis.llen(QUEUE) == expected
        transaction.set_rollback(True)
    assert redis.llen(QUEUE) == 2


def test_in_a_coroutine_it_is_enqueued_at_once(redis: Redis) -> None:
    async def view() -> int:
        return int(mail().send())

    assert async_to_sync(view)() == 1
    assert redis.llen(QUEUE) == 1


def test_many_mails_of_a_transaction_take_no_longer_each(calls: list[int]) -> None:
    with transaction.atomic():
        for number in range(600):
            mail(str(number)).send()
        assert len(connection.run_on_commit) == 600
    assert calls == [600]
