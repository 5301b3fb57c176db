"""One entry of a campaign by its address or key: in whatever job it waits, was sent or has failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.campaign import Entry
from rq_ses.campaign.names import bulk_job_id, entry_id
from rq_ses.mails import MailNotFound, Mails
from rq_ses.mails.view import mail_object, mail_rows
from rq_ses_worker.lifecycle.records import Settlement, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.campaigns.standing import BULK, campaign, counts, entries, fail_entries, queue_entries
from support.mails.keys import KEYS

SALE = campaign()
JOB = bulk_job_id("sale", 1)


@pytest.fixture
def mails(redis: Redis) -> Mails:
    return Mails(redis)


def sent(redis: Redis, receipt: list[list[str | None]]) -> None:
    """Let the job at the front be sent, with this receipt."""
    lifecycle = Lifecycle(redis, [BULK], "tests", "aaaaaaaa", 30.0)
    [claim], _ = lifecycle.claim(1)
    result = {"campaign": "sale", "entries": receipt}
    ending = Settlement(claim.lease, "sent", datetime.now(UTC), {}, sent_fields(result))
    assert lifecycle.settle([ending], clock=0.0) == ["done"]


def test_an_entry_that_waits_is_shown_by_its_job(redis: Redis, mails: Mails) -> None:
    queue_entries(redis, SALE, entries(3))
    found = mails.entry("sale", "Somebody <user1@Example.com>")
    assert (found.job_id, found.to, found.status, found.entries) == (JOB, ("user1@example.com",), "queued", 3)
    assert (found.subject, found.sender) == ("For {{name}}", "Shop ‹shop@example.com›")
    assert ("campaign", "sale, whose job has 3 entries") in mail_rows(found, str)
    whole = mails.show(JOB)
    assert whole.to == ("user0@example.com", "user1@example.com", "user2@example.com")
    assert mail_object(whole)["campaign"] == "sale"


def test_an_entry_is_found_in_whichever_queue_its_campaign_was_sent_to(redis: Redis, mails: Mails) -> None:
    Outbox(redis, "news").send_bulk(SALE, entries(2))
    found = mails.entry("sale", "user1@example.com")
    assert (found.job_id, found.queue, found.priority) == (JOB, "news-bulk", "bulk")
    assert (found.to, found.status) == (("user1@example.com",), "queued")


def test_an_entry_that_was_sent_is_shown_with_its_message_id(redis: Redis, mails: Mails) -> None:
    queue_entries(redis, SALE, entries(2))
    sent(redis, [["user0@example.com", "SUCCESS", "m-0"], ["user1@example.com", "SUCCESS", "m-1"]])
    found = mails.entry("sale", "user1@example.com")
    assert (found.status, found.to, found.message_id) == ("finished", ("user1@example.com",), "m-1")
    whole = mails.show(JOB)
    assert whole.deliveries == (("user0@example.com", "m-0"), ("user1@example.com", "m-1"))
    assert ("MessageIds", "user0@example.com: m-0") in mail_rows(whole, str)
    assert whole.message_id is None


def test_an_entry_has_the_events_of_its_own_tag_and_message_id(redis: Redis, mails: Mails) -> None:
    queue_entries(redis, SALE, entries(2))
    sent(redis, [["user0@example.com", "SUCCESS", "m-0"], ["user1@example.com", "SUCCESS", "m-1"]])
    for name, kind in ((entry_id("sale", "user1@example.com"), "Delivery"), ("m-1", "Bounce"), (JOB, "Open")):
        told = {f"{kind}:1:": json.dumps({"kind": kind, "at": 1.0}), "state": "bounced"}
        redis.hset(KEYS.events(name), mapping=told)
    found = mails.entry("sale", "user1@example.com")
    assert ([one.kind for one in found.events], found.feedback) == (["Bounce", "Delivery"], "bounced")
    assert ("campaign", "sale, whose job has 2 entries") in mail_rows(found, str)
    assert mails.entry("sale", "user0@example.com").events == ()


def test_an_entry_that_went_on_is_found_where_it_is(redis: Redis, mails: Mails) -> None:
    some = entries(4)
    queue_entries(redis, SALE, some)
    # Of four, one was sent; two go on together, under the id of the first of them; one has failed by itself.
    sent(redis, [["user0@example.com", "SUCCESS", "m-0"]])
    for part in (some[1:3], some[3:]):
        job_id = queue_entries(redis, SALE, part, 99)
        redis.rename(KEYS.job(job_id), KEYS.job(entry_id("sale", part[0].identity)))
        redis.lset(KEYS.queue(BULK), -1, entry_id("sale", part[0].identity))
    redis.hset(KEYS.campaign_index("sale", entry_id("sale", "user2@example.com")[:3]), "x", "1")
    assert mails.entry("sale", "user0@example.com").message_id == "m-0"
    found = mails.entry("sale", "user2@example.com")
    assert (found.job_id, found.to) == (entry_id("sale", "user1@example.com"), ("user2@example.com",))
    assert mails.entry("sale", "user3@example.com").entries == 1


def test_an_entry_with_a_key_of_its_own_is_found_by_that(redis: Redis, mails: Mails) -> None:
    job_id = fail_entries(redis, SALE, [Entry("a@b.example", {"name": "A"}, key="User-7@B.example")])
    found = mails.entry("sale", "User-7@B.example")
    assert (found.job_id, found.status, found.code) == (job_id, "failed", "MessageRejected")


def test_what_isnt_known_is_told_apart_from_what_is_forgotten(redis: Redis, mails: Mails) -> None:
    with pytest.raises(MailNotFound, match=r"entry a@b\.example is no entry of campaign sale here"):
        mails.entry("sale", "a@b.example")
    job_id = queue_entries(redis, SALE, [Entry("a@b.example", {"name": "A"})])
    redis.delete(KEYS.job(job_id))
    with pytest.raises(MailNotFound, match="in no job any more: it was sent, canceled or discarded"):
        mails.entry("sale", "a@b.example")
    with pytest.raises(ValueError, match="not the name of a campaign"):
        mails.entry("no name", "a@b.example")


def test_entries_that_are_canceled_by_their_job_are_counted(redis: Redis, mails: Mails) -> None:
    assert mails.cancel(queue_entries(redis, SALE, entries(3))).canceled
    assert counts(redis) == {"enqueued": 3, "canceled": 3}
