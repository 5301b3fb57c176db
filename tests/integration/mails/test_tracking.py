"""What an app is told of its mails by either face of an Outbox, and how it calls them back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses import OutboxUnavailable, Receipt, contract
from rq_ses.errors import WaitTimedOut
from rq_ses.keys import Keys
from rq_ses.mails import MailNotFound, Mails
from rq_ses.partition import partition_of
from rq_ses.tracking import MailEvent, Status
from rq_ses_worker.lifecycle.records import Settlement, sent_fields
from support.faces import FACES
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail
from support.receipts.doubtful import NOTE, Doubtful

PARTITIONS = ("{one}", "{two}", "{three}")


@contextmanager
def opened(face: str, *args: Any, **terms: Any) -> Iterator[Any]:
    made = FACES[face](*args, **terms)
    yield made
    if face == "asyncio":
        made.close()


@pytest.fixture(params=FACES)
def outbox(request: pytest.FixtureRequest, redis_url: str, redis: Redis) -> Iterator[Any]:
    with opened(request.param, redis_url) as made:
        yield made


@pytest.fixture
def doubtful(redis: Redis) -> Doubtful:
    return Doubtful(redis)


def tell(redis: Redis, mail_id: str, state: str = "", **event: Any) -> None:
    """Store an event as it comes from SES."""
    name = f"{event['kind']}:{event.get('at', 0):.3f}:{event.get('recipient', '')}"
    redis.hset(KEYS.events(mail_id), mapping={name: json.dumps(event), **({"state": state} if state else {})})


def test_a_status_tells_where_a_mail_is_on_its_way(outbox: Any, doubtful: Doubtful) -> None:
    before = time.time()
    receipt = outbox.send(mail(), key="k")
    doubtful.job_id = job_id = receipt.job_id
    waits = outbox.status(receipt)
    assert (waits.job_id, waits.state, waits.attempts, waits.over, waits.sent) == (
        job_id, "queued", 0, False, False,
    )  # fmt: skip
    assert waits.created_at.timestamp() == pytest.approx(before, abs=60)
    claim = doubtful.claim()
    assert claim
    assert outbox.status(job_id).state == "started"
    assert doubtful.settle(claim, "retry", {**_OUTCOME, "attempts": 1}) == "done"
    again = outbox.status(key="k")
    assert (again.state, again.attempts, again.error) == (
        "scheduled",
        1,
        "ReadTimeout: No answer within 5 s.",
    )
    assert again.in_doubt
    assert again.next_attempt is not None
    doubtful.ours.promote()
    claim = doubtful.claim()
    assert claim
    assert doubtful.settle(claim, "sent", {"attempts": 2}) == "done"
    sent = outbox.status(key="k")
    assert (sent.state, sent.sent, sent.over, sent.attempts) == ("finished", True, True, 2)
    assert (sent.message_id, sent.error, sent.in_doubt) == ("answered", None, False)


# What is written of an attempt without an answer
_OUTCOME = {
    "ambiguous": 1,
    "last_outcome": {"outcome": "transient", "code": "ReadTimeout", "message": "No answer within 5 s."},
}


def test_of_a_mail_that_nobody_knows_the_status_says_so(outbox: Any) -> None:
    assert outbox.status("nobody") == Status(job_id="nobody", state="unknown")
    assert outbox.status("nobody").over
    assert outbox.status(key="k").job_id == contract.keyed_job_id("mail", "k")


@pytest.mark.parametrize(
    "named",
    [{}, {"job_id": "j", "key": "k"}, {"job_id": 7}, {"key": ""}, {"job_id": None}, {"job_id": "\ud800"}],
)
@pytest.mark.parametrize("call", ["status", "wait", "cancel"])
def test_a_mail_is_named_in_exactly_one_way(outbox: Any, call: str, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly one|can't be used: give|key"):
        getattr(outbox, call)(**named)


def test_events_are_told_in_their_order_and_outlive_the_receipt(
    redis: Redis, outbox: Any, doubtful: Doubtful
) -> None:
    job_id = doubtful.send()
    tell(redis, job_id, "bounced", kind="Bounce", at=30.0, recipient="b@example.com", type="Permanent",
         subtype="General", detail="550 5.1.1 \x1b[31muser unknown", message_id="m-1")  # fmt: skip
    tell(redis, job_id, kind="Send", at=10.5, message_id="m-1")
    redis.hset(KEYS.events(job_id), mapping={"other": "no JSON", "more": "[1]", "less": '{"kind": 1}'})
    found = outbox.status(job_id)
    assert found.feedback == "bounced"
    send, bounce = found.events
    assert isinstance(send, MailEvent)
    assert (send.kind, send.at.timestamp(), send.message_id) == ("Send", 10.5, "m-1")
    assert (bounce.kind, bounce.recipient, bounce.type, bounce.subtype) == (
        "Bounce", "b@example.com", "Permanent", "General",
    )  # fmt: skip
    assert "user unknown" in bounce.detail
    assert "\x1b" not in bounce.detail
    fetch(redis, job_id).delete()
    gone = outbox.status(job_id)
    assert (gone.state, gone.events, gone.feedback) == ("unknown", found.events, "bounced")


def test_what_identity_notifications_tell_is_found_by_the_message_id(
    redis: Redis, outbox: Any, doubtful: Doubtful
) -> None:
    job_id = doubtful.send()
    claim = doubtful.claim()
    assert claim
    assert doubtful.settle(claim, "sent", {"attempts": 1}) == "done"
    tell(redis, job_id, "delivered", kind="Delivery", at=2.0, recipient="a@example.com")
    tell(redis, "answered", "complained", kind="Complaint", at=3.0, recipient="a@example.com")
    tell(redis, "answered", kind="Delivery", at=2.0, recipient="a@example.com")
    found = outbox.status(job_id)
    assert ([event.kind for event in found.events], found.feedback) == (
        ["Delivery", "Complaint"],
        "complained",
    )
    redis.delete(KEYS.events("answered"))
    redis.set(KEYS.events("answered"), "of another type")
    assert [event.kind for event in outbox.status(job_id).events] == ["Delivery"]


def test_recipients_that_were_left_out_are_named(outbox: Any, doubtful: Doubtful) -> None:
    job_id = doubtful.send()
    claim = doubtful.claim()
    assert claim
    result = sent_fields({"message_id": "m", "suppressed": ["b@example.com", 7]})
    doubtful.ours.settle(
        [Settlement(claim.lease, "sent", datetime.now(UTC), {"attempts": 1}, result)], clock=time.monotonic()
    )
    assert outbox.status(job_id).suppressed == ("b@example.com", "")


def test_a_mail_that_an_event_has_finished_is_sent_and_says_by_whom(
    redis: Redis, outbox: Any, doubtful: Doubtful
) -> None:
    job_id = doubtful.in_doubt("failed")
    held = outbox.status(job_id)
    assert (held.state, held.in_doubt) == ("failed", True)
    assert doubtful.event("m-9") == "sent"
    sent = outbox.status(job_id)
    assert (sent.state, sent.message_id, sent.in_doubt) == ("finished", "m-9", False)
    assert Mails(redis).show(job_id).note == NOTE


def later(seconds: float, act: Callable[[], Any]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_waiting_ends_when_the_mail_is_sent(outbox: Any, doubtful: Doubtful) -> None:
    job_id = doubtful.send()
    claim = doubtful.claim()
    assert claim
    timer = later(0.1, lambda: doubtful.settle(claim, "sent", {"attempts": 1}))
    assert outbox.wait(Receipt(job_id), 20.0).message_id == "answered"
    timer.join()
    assert outbox.wait(job_id, timeout=0).sent, "and who comes later doesn't wait at all"


@pytest.mark.parametrize("action", ["failed", "canceled", "deleted"])
def test_waiting_ends_when_the_mail_is_given_up(outbox: Any, doubtful: Doubtful, action: str) -> None:
    job_id = doubtful.send()
    if action == "failed":
        claim = doubtful.claim()
        assert claim
        doubtful.settle(claim, "failed")
    elif action == "canceled":
        assert outbox.cancel(job_id)
    else:
        fetch(doubtful.redis, job_id).delete()
    expected = "unknown" if action == "deleted" else action
    assert outbox.wait(job_id, 20.0).state == expected


def test_waiting_ends_in_time_with_how_the_mail_stands(outbox: Any, doubtful: Doubtful) -> None:
    job_id = doubtful.send(delay=3600)
    for timeout in (0, 0.05):
        with pytest.raises(WaitTimedOut, match=f"job {job_id} is scheduled after .* due at ") as caught:
            outbox.wait(job_id, timeout)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.status.state == "scheduled"
    for wrong in (-1, "1", float("nan"), None):
        with pytest.raises(ValueError, match="timeout: "):
            outbox.wait(job_id, wrong)


@pytest.mark.parametrize("face", FACES)
def test_without_a_server_asking_ends_in_words(face: str) -> None:
    words = "Redis did not tell how a mail stands .*then ask again"
    with opened(face, "redis://127.0.0.1:1/0", enqueue_timeout=0.1) as outbox:
        for call in (lambda: outbox.status("j"), lambda: outbox.cancel("j"), lambda: outbox.wait("j", 0.2)):
            with pytest.raises(OutboxUnavailable, match=words):
                call()


@pytest.mark.parametrize("terms", [{}, {"delay": 60.0}, {"priority": "high"}])
def test_a_mail_that_waits_is_called_back(outbox: Any, doubtful: Doubtful, terms: dict[str, Any]) -> None:
    job_id = outbox.send(mail(), key="k", **terms).job_id
    assert outbox.cancel(key="k") is True
    assert outbox.status(job_id).state == "canceled"
    assert outbox.cancel(key="k") is False
    assert outbox.send(mail(subject="Another"), key="k") == Receipt(job_id)


def test_what_does_not_wait_is_not_called_back(outbox: Any, doubtful: Doubtful) -> None:
    assert outbox.cancel("nobody") is False
    job_id = doubtful.send()
    claim = doubtful.claim()
    assert claim
    assert outbox.cancel(job_id) is False
    doubtful.settle(claim, "sent", {"attempts": 1})
    assert outbox.cancel(job_id) is False
    assert outbox.status(job_id).sent


@pytest.mark.parametrize("face", FACES)
def test_with_partitions_each_mail_is_asked_for_where_it_is(redis: Redis, redis_url: str, face: str) -> None:
    with opened(face, redis_url, partitions=PARTITIONS) as outbox:
        ids = [receipt.job_id for receipt in outbox.send_many([mail() for _ in range(9)])]
        assert len({partition_of(job_id, 3) for job_id in ids}) > 1
        for job_id in ids:
            keys = Keys(PARTITIONS[partition_of(job_id, 3)])
            redis.hset(keys.events(job_id), mapping={"e": json.dumps({"kind": "Send", "at": 1.0})})
            found = outbox.status(job_id)
            assert (found.state, [event.kind for event in found.events]) == ("queued", ["Send"])
            assert outbox.cancel(job_id)
            assert outbox.wait(job_id).state == "canceled"


def test_what_was_told_of_a_mail_that_is_forgotten_stands_in_the_error(redis: Redis) -> None:
    tell(redis, "gone", kind="Send", at=1.0)
    with pytest.raises(MailNotFound) as caught:
        Mails(redis).show("gone")
    assert len(caught.value.events) == 1
