"""The backend under a site: receipts, what is raised and what is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.mail import EmailMessage, send_mass_mail
from redis import Redis

from rq_ses import DurabilityUnconfirmed, IdempotencyConflict, OutboxUnavailable
from rq_ses.django import EmailBackend
from support.django_project.project import WAYS, sending
from support.servers.ports import free_port

QUEUE = "rq:queue:mail"
ANNA = "anna@customer.example"


def mail(subject: str = "S", **fields: Any) -> Any:
    return EmailMessage(subject, "T", **{"to": [ANNA], **fields})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def _mailer() -> Iterator[None]:
    with sending():
        yield


@pytest.mark.waitaof
def test_options_reach_the_queue(
    way: str, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RQ_SES_REDIS_URL", "redis://127.0.0.1:1/0")
    with sending(way, redis_url=redis_url, queue="shop", priority="high", expires=60.0, durable=True):
        assert mail().send() == 1
    assert redis.llen("rq:queue:shop-high") == 1
    job = redis.hgetall(b"rq:job:" + redis.lindex("rq:queue:shop-high", 0))
    assert b"data" in job


@pytest.mark.usefixtures("_mailer")
def test_a_receipt_is_on_the_mail_and_renewed_by_each_send(redis: Redis) -> None:
    one = mail()
    one.send()
    first = one.rq_ses_receipt
    assert one.rq_ses_receipts == (first,)
    one.send()
    assert one.rq_ses_receipt.job_id != first.job_id
    assert redis.llen(QUEUE) == 2
    assert redis.exists(f"rq:job:{first.job_id}")


@pytest.mark.usefixtures("_mailer")
def test_what_is_counted_are_the_mails_that_have_recipients(redis: Redis) -> None:
    mails = iter([mail("a"), mail("nobody", to=[]), mail("blank", to=[""]), mail("b", to=["", ANNA])])
    assert EmailBackend().send_messages(mails) == 2
    assert EmailBackend().send_messages([]) == 0
    assert send_mass_mail([]) == 0
    assert redis.llen(QUEUE) == 2


@pytest.mark.usefixtures("_mailer")
def test_of_a_list_with_an_unfit_mail_none_is_enqueued(redis: Redis) -> None:
    with pytest.raises(ValueError, match="nobody"):
        send_mass_mail([("a", "T", None, [ANNA]), ("b", "T", None, ["nobody"])])
    assert redis.llen(QUEUE) == 0


@pytest.mark.usefixtures("_mailer")
def test_later_changes_to_a_mail_are_nothing_to_the_queue(redis: Redis, redis_url: str) -> None:
    one = mail("before")
    one.send()
    one.subject = "after"
    assert "before" in redis.hget(f"rq:job:{one.rq_ses_receipt.job_id}", "description").decode()


@pytest.mark.usefixtures("_mailer")
def test_a_key_makes_one_job_of_a_repetition_and_a_conflict_of_another_mail(redis: Redis) -> None:
    one, again, other = mail(), mail(), mail("other")
    for each in (one, again, other):
        each.rq_ses = {"key": "welcome-anna"}
    assert (one.send(), again.send()) == (1, 1)
    assert again.rq_ses_receipt.duplicate
    with pytest.raises(IdempotencyConflict):
        EmailBackend().send_messages([mail("free"), other])
    assert redis.llen(QUEUE) == 2


def test_silence_is_for_a_queue_that_is_away(way: str, caplog: pytest.LogCaptureFixture) -> None:
    gone = f"redis://127.0.0.1:{free_port()}/0"
    one = mail()
    with sending(way, redis_url=gone, enqueue_timeout=0.01):
        with pytest.raises(OutboxUnavailable):
            one.send()
        assert one.rq_ses_receipt is None
        assert caplog.records == []
    with sending(way, redis_url=gone, enqueue_timeout=0.01, fail_silently=True):
        assert mail().send() == 0
        with pytest.raises(ValueError, match="nobody"):
            mail(to=["nobody"]).send()
    [record] = caplog.records
    assert (record.name, record.levelno) == ("rq_ses.django", logging.WARNING)
    assert record.getMessage().startswith(
        "0 of 1 mails are known to be enqueued: Redis did not take 1 message"
    )
    assert ANNA not in record.getMessage()


def test_doubt_about_durability_is_told_though_the_mail_is_taken(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RQ_SES_DURABLE_REPLICAS", "1")
    monkeypatch.setenv("RQ_SES_DURABLE_TIMEOUT", "0.05")
    one = mail()
    with sending(durable=True), pytest.raises(DurabilityUnconfirmed):
        one.send()
    assert one.rq_ses_receipt
    with sending(durable=True, fail_silently=True):
        assert mail().send() == 1
    assert "1 of 1 mails are known to be enqueued" in caplog.text
    assert redis.llen(QUEUE) == 2


def test_a_handler_that_mails_the_failure_of_mail_ends(caplog: pytest.LogCaptureFixture) -> None:
    class Mailing(logging.Handler):
        asked = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.asked += 1
            mail(record.getMessage()).send()

    handler = Mailing()
    logger = logging.getLogger("rq_ses.django")
    logger.addHandler(handler)
    gone = f"redis://127.0.0.1:{free_port()}/0"
    try:
        with sending(redis_url=gone, enqueue_timeout=0.01, fail_silently=True):
            assert mail().send() == 0
    finally:
        logger.removeHandler(handler)
    assert handler.asked == 1
