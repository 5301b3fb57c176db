"""Doubt that an event of SES's resolves: the mail was sent, and no second copy goes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from rq_ses import contract
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.rqdate import utcformat
from rq_ses_worker import job as job_module
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.outcome import Outcome, Sent
from support.mails.audits import look
from support.mails.breaking import each_break
from support.mails.keys import KEYS
from support.mails.mail import fetch, status
from support.receipts.doubtful import DATED, DOUBT, NOTE, Doubtful

HOUR = 3600.0


@pytest.fixture
def doubtful(redis: Redis) -> Doubtful:
    return Doubtful(redis)


@pytest.mark.parametrize("state", ["failed", "scheduled", "queued"])
def test_a_mail_in_doubt_is_finished_by_an_event_that_carries_its_tag(doubtful: Doubtful, state: str) -> None:
    job_id = doubtful.in_doubt(state)
    assert status(doubtful.redis, job_id) == state
    accepted = time.time() - 5
    assert doubtful.event("0102018f-a-000000", accepted=accepted) == "sent"
    assert doubtful.is_finished("0102018f-a-000000")
    job = fetch(doubtful.redis, job_id)
    assert job.ended_at is not None
    assert job.ended_at.timestamp() == pytest.approx(accepted, abs=1e-5)
    assert job.get_meta() == {**DOUBT, "note": NOTE}
    assert job.latest_result().return_value == {"message_id": "0102018f-a-000000"}
    assert doubtful.event() == "", "and nothing is left to resolve"
    assert doubtful.is_finished("0102018f-a-000000")


@pytest.mark.parametrize("message_id", ["a", "ab", "abc", "abcd", "A-_9" * 64])
def test_rq_reads_every_message_id(doubtful: Doubtful, message_id: str) -> None:
    doubtful.in_doubt("failed")
    assert doubtful.event(message_id) == "sent"
    assert doubtful.is_finished(message_id)


def test_a_key_is_remembered_as_that_of_any_mail_that_was_sent(redis: Redis) -> None:
    doubtful = Doubtful(redis, result_ttl=100)
    job_id = doubtful.in_doubt("failed", key="k")
    assert doubtful.event() == "sent"
    assert doubtful.is_finished()
    assert redis.ttl(KEYS.job(job_id)) == contract.KEY_MEMORY
    assert doubtful.send(key="k") == job_id
    assert doubtful.is_finished()


def test_where_no_receipt_is_kept_nothing_is_left(redis: Redis) -> None:
    doubtful = Doubtful(redis)
    job_id = doubtful.in_doubt("scheduled")
    redis.hset(KEYS.job(job_id), "result_ttl", 0)
    assert doubtful.event() == "sent"
    assert (doubtful.places, redis.exists(KEYS.job(job_id))) == ([], 0)


def test_a_mail_that_rqs_button_put_back_is_not_sent_again(doubtful: Doubtful) -> None:
    job_id = doubtful.in_doubt("failed")
    fetch(doubtful.redis, job_id).requeue()
    assert doubtful.event() == "sent"
    assert doubtful.is_finished()


ENDINGS: dict[str, tuple[str, str]] = {
    "sent": ("done", "answered"),
    "retry": ("told", "m-1"),
    "failed": ("told", "m-1"),
    "back": ("told", "m-1"),
}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("action", ENDINGS)
def test_one_that_is_being_sent_is_left_and_finished_once_when_that_ends(
    doubtful: Doubtful, action: str, first: bool
) -> None:
    if first:
        doubtful.send()
    else:
        doubtful.in_doubt("started")
    claim = doubtful.claim()
    assert claim
    assert doubtful.event() == "noted"
    assert doubtful.places == ["wip", "leases"]
    word, message_id = ENDINGS[action]
    meta = {"attempts": 2} if action == "sent" else None
    assert doubtful.settle(claim, action, meta) == word
    assert doubtful.is_finished(message_id, note=action != "sent")
    assert len(fetch(doubtful.redis, claim.lease.job_id).results()) == 1
    assert doubtful.settle(claim, action, meta) in ("lost", "done")
    assert doubtful.is_finished(message_id, note=action != "sent")


def test_one_whose_worker_died_is_finished_in_place_of_being_sent_again(doubtful: Doubtful) -> None:
    doubtful.send()
    claim = doubtful.claim()
    assert claim
    assert doubtful.event() == "noted"
    doubtful.lease_runs_out()
    [overdue] = doubtful.other.reclaim()
    assert overdue.lease == claim.lease
    assert doubtful.settle(claim, "back", {}, overdue=True) == "told"
    assert doubtful.is_finished()
    assert doubtful.settle(claim, "sent", {"attempts": 1}) == "lost"
    assert doubtful.is_finished()


def test_what_a_worker_says_late_does_not_double_the_record(doubtful: Doubtful) -> None:
    doubtful.in_doubt("started")
    claim = doubtful.claim()
    assert claim
    doubtful.lease_runs_out()
    assert doubtful.settle(claim, "retry", overdue=True) == "done"
    assert doubtful.event() == "sent"
    assert doubtful.settle(claim, "sent", {"attempts": 2}) == "lost"
    assert doubtful.is_finished()
    assert len(fetch(doubtful.redis, doubtful.job_id).results()) == 1


def settled(doubtful: Doubtful, action: str, meta: dict[str, Any]) -> None:
    claim = doubtful.claim()
    assert claim
    assert doubtful.settle(claim, action, meta) == "done"


LEFT: dict[str, Callable[[Doubtful], Any]] = {
    "queued for the first time": lambda doubtful: doubtful.send(),
    "scheduled for later": lambda doubtful: doubtful.send(delay=60.0),
    "refused": lambda doubtful: (doubtful.send(), settled(doubtful, "failed", {"attempts": 1})),
    "rate limited": lambda doubtful: (doubtful.send(), settled(doubtful, "retry", {"ambiguous": 0})),
    "sent": lambda doubtful: (doubtful.send(), settled(doubtful, "sent", {"attempts": 1})),
    "canceled": lambda doubtful: fetch(doubtful.redis, doubtful.in_doubt("queued")).cancel(),
    "deleted": lambda doubtful: fetch(doubtful.redis, doubtful.in_doubt("failed")).delete(),
    "discarded": lambda doubtful: DeadLetters(doubtful.redis).discard(
        Filter(ids=[doubtful.in_doubt("failed")])
    ),
    "meta that is none": lambda doubtful: doubtful.redis.hset(
        KEYS.job(doubtful.in_doubt("failed")), "meta", '{"ambiguous": '
    ),
    "in no registry": lambda doubtful: (
        doubtful.in_doubt("failed"),
        doubtful.redis.delete(KEYS.registry("failed", "mail")),
    ),
    "another type": lambda doubtful: (
        doubtful.redis.delete(KEYS.job(doubtful.in_doubt("failed"))),
        doubtful.redis.set(KEYS.job(doubtful.job_id), "x"),
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_not_in_doubt_or_was_given_up_is_left_as_it_is(doubtful: Doubtful, case: str) -> None:
    LEFT[case](doubtful)

    def kept() -> dict[bytes, Any]:
        read = {b"hash": doubtful.redis.hgetall}
        return {
            key: read.get(doubtful.redis.type(key), doubtful.redis.dump)(key)
            for key in doubtful.redis.keys("*")
        }

    before = kept()
    assert doubtful.event() == ""
    assert kept() == before


def test_a_late_event_of_an_earlier_mail_under_the_key_says_nothing_of_this_one(doubtful: Doubtful) -> None:
    doubtful.in_doubt("failed", key="k")
    for earlier in (25 * HOUR, 2 * HOUR):
        assert doubtful.event(accepted=time.time() - earlier) == ""
    assert doubtful.places == ["failed"]
    # The hosts of apps may have clocks of their own.
    made = utcformat(datetime.fromtimestamp(time.time() + HOUR / 2, UTC))
    doubtful.redis.hset(KEYS.job(doubtful.job_id), "created_at", made)
    assert doubtful.event() == "sent"


@pytest.mark.parametrize("state", ["queued", "started"])
def test_what_somebody_has_resent_goes_out_whatever_is_told_of_the_copy_before(
    doubtful: Doubtful, state: str
) -> None:
    accepted = time.time() - 1
    doubtful.in_doubt("failed")
    assert DeadLetters(doubtful.redis).resend(Filter(), include_unknown=True).resent == 1
    if state == "started":
        assert doubtful.claim()
    assert doubtful.event(accepted=accepted) == ""
    assert status(doubtful.redis, doubtful.job_id) == state
    assert doubtful.event(accepted=time.time() + 1) == ("sent" if state == "queued" else "noted")


def test_what_was_told_of_a_copy_is_forgotten_when_somebody_resends_the_mail(doubtful: Doubtful) -> None:
    job = KEYS.job(doubtful.in_doubt("failed"))
    doubtful.redis.hset(job, contract.ACCEPTED_FIELD, "told under a stock worker")
    assert DeadLetters(doubtful.redis).resend(Filter(), include_unknown=True).resent == 1
    assert doubtful.redis.hget(job, contract.ACCEPTED_FIELD) is None


@pytest.mark.parametrize("record", [False, True])
def test_an_entry_of_a_campaign_counts_as_sent(doubtful: Doubtful, record: bool) -> None:
    job_id = doubtful.in_doubt("failed")
    campaign = f"{KEYS.root}ses:campaign:may"
    doubtful.redis.hset(KEYS.job(job_id), contract.CAMPAIGN_FIELD, "may")
    if record:
        doubtful.redis.hset(campaign, "sent", 4)
    assert doubtful.event() == "sent"
    assert doubtful.redis.hget(campaign, "sent") == (b"5" if record else None)


@pytest.mark.parametrize("state", ["failed", "scheduled", "queued"])
def test_broken_off_anywhere_it_is_completed_by_the_events_repetition(redis: Redis, state: str) -> None:
    def act(number: int) -> None:
        doubtful = Doubtful(redis)
        doubtful.in_doubt(state)
        doubtful.broken_off(number)
        doubtful.event()
        doubtful.claim()  # drops what isn't queued
        redis.delete(KEYS.scratch, KEYS.result_scratch)  # the next script would
        assert doubtful.is_finished()

    assert each_break(redis, act) > 12


@pytest.mark.parametrize("state", ["failed", "scheduled", "queued"])
def test_broken_off_for_good_it_leaves_the_mail_where_it_was_or_finished(redis: Redis, state: str) -> None:
    def act(number: int) -> None:
        doubtful = Doubtful(redis)
        job_id = doubtful.in_doubt(state)
        doubtful.broken_off(number)
        now = status(redis, job_id)
        assert now in (state, "finished")
        claimed = doubtful.claim() if state == "queued" else None
        assert bool(claimed) is (now == "queued"), "it goes out again only if nothing tells that it was sent"
        look(redis, repair=True)
        if now == "finished":
            assert doubtful.event() == ""

    each_break(redis, act)


@pytest.mark.parametrize(
    "seconds", [0, 951_782_399, 951_782_400, 1_709_164_800, 1_735_689_599.25, 4_107_542_400, 2e9 + 0.5]
)
def test_moments_are_written_as_rq_writes_them(redis: Redis, seconds: float) -> None:
    expected = utcformat(datetime.fromtimestamp(seconds, UTC))
    assert redis.register_script(DATED)(args=[seconds]) == expected.encode()


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_stock_worker_sends_no_second_copy_of_what_an_event_has_told_of(
    doubtful: Doubtful, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    copies: list[str] = []

    class Client:
        def send(self, _: object, job_id: str) -> Outcome:
            copies.append(job_id)
            return Sent(200, message_id="second")

    monkeypatch.setattr(job_module, "_sender", lambda: (Client(), RetryPolicy(), False))
    job_id = doubtful.send()
    assert doubtful.claim()
    assert doubtful.event() == "noted"
    if spoilt:
        doubtful.redis.hset(KEYS.job(job_id), contract.ACCEPTED_FIELD, "no result")
    # As RQ's Retry leaves it
    doubtful.redis.hset(KEYS.job(job_id), "status", "queued")
    doubtful.redis.rpush(KEYS.queue("mail"), job_id)
    SimpleWorker(["mail"], connection=doubtful.redis, serializer=JSONSerializer).work(burst=True)
    assert fetch(doubtful.redis, job_id).return_value() == {"message_id": "second" if spoilt else "m-1"}
    assert copies == [job_id] * spoilt
