"""Bulk jobs from their claim to what is written of them, against a real server."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from rq_ses.campaign import Template
from rq_ses.campaign.names import entry_id
from rq_ses.keys import keys_of
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.outcome import RateLimited, Terminal, Transient
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    Desk,
    addresses,
    campaign,
    counts,
    enqueue,
    make_due,
    places,
    store,
    success,
)
from support.mails.mail import fetch

FATES: dict[str, dict[str, Any]] = {
    "to-1@example.com": {"Status": "ACCOUNT_THROTTLED"},
    "to-2@example.com": {"Status": "TRANSIENT_FAILURE", "Error": "busy"},
    "to-3@example.com": {"Status": "MESSAGE_REJECTED", "Error": "Email address is not verified."},
    "to-4@example.com": {"Status": "ACCOUNT_THROTTLED"},
    "to-5@example.com": {"Status": "SUCCEEDED", "MessageId": "m"},
    "to-6@example.com": {"MessageId": "m"},
}


def mixed(to: str) -> dict[str, Any]:
    return FATES.get(to) or success(to)


@pytest.fixture
def sending(redis: Redis) -> str:
    """Write a campaign, and a job with ten of its entries; return the job's id."""
    store(redis, campaign())
    return enqueue(redis, campaign(), addresses(10))


def test_a_bulk_job_that_ses_takes_is_finished_with_all_its_message_ids(redis: Redis, sending: str) -> None:
    desk = Desk(redis, BulkClient())
    desk.work()
    assert desk.words == ["done"]
    assert fetch(redis, sending).return_value() == {
        "campaign": NAME,
        "entries": [[to, "SUCCESS", f"id-of-{to}"] for to in addresses(10)],
    }
    assert counts(redis) == (10, 10, 0)
    assert places(redis) == {to: ["finished"] for to in addresses(10)}
    assert desk.client.requests == [addresses(10)]


def test_each_entry_of_a_mixture_has_its_own_fate(redis: Redis, sending: str) -> None:
    desk = Desk(redis, BulkClient(mixed))
    desk.work(rounds=1)
    assert desk.words == ["done"]
    wanted = {to: ["finished"] for to in addresses(10)}
    wanted |= {f"to-{n}@example.com": ["scheduled"] for n in (1, 2, 4)}
    wanted |= {f"to-{n}@example.com": ["failed"] for n in (3, 5, 6)}
    assert places(redis) == wanted
    assert counts(redis) == (10, 4, 0)
    dead = fetch(redis, entry_id(NAME, "to-3@example.com"))
    assert dead.latest_result().exc_string.startswith("MESSAGE_REJECTED: Email address is not verified.")
    held = fetch(redis, entry_id(NAME, "to-5@example.com"))
    assert "the status 'SUCCEEDED' is none of SES's" in held.latest_result().exc_string
    assert held.meta["ambiguous"] == 1
    assert [r[2] for r in fetch(redis, sending).return_value()["entries"]] == [
        f"id-of-to-{n}@example.com" for n in (0, 7, 8, 9)
    ]
    assert desk.lifecycle.settle([], clock=0) == []


def test_what_is_to_be_tried_again_goes_on_without_the_rest(redis: Redis, sending: str) -> None:
    desk = Desk(redis, BulkClient(mixed))
    desk.work(rounds=1)
    make_due(redis)
    desk.client.answers = success
    desk.work()
    assert sorted(map(sorted, desk.client.requests[1:])) == [
        ["to-1@example.com", "to-4@example.com"],
        ["to-2@example.com"],
    ]
    assert counts(redis) == (10, 7, 0)
    assert set(desk.client.sent.values()) <= {0, 1}


@pytest.mark.parametrize(
    ("status", "place"),
    [
        ("ACCOUNT_THROTTLED", "scheduled"),
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", "scheduled"),
        ("TRANSIENT_FAILURE", "scheduled"),
        ("MESSAGE_REJECTED", "failed"),
        ("ACCOUNT_SUSPENDED", "failed"),
    ],
)
def test_entries_that_fare_alike_stay_together(redis: Redis, sending: str, status: str, place: str) -> None:
    desk = Desk(redis, BulkClient(lambda _: {"Status": status}))
    desk.work(rounds=1)
    assert places(redis) == {to: [place] for to in addresses(10)}
    assert redis.keys("rq:job:*") == [f"rq:job:{sending}".encode()]
    assert counts(redis) == (10, 0, 0)


def test_nobody_knows_who_was_sent_a_request_without_a_fitting_answer(redis: Redis, sending: str) -> None:
    class Forgetful(BulkClient):
        def send_bulk(self, body: bytes, entries: int) -> Any:
            found = super().send_bulk(body, entries)
            from rq_ses_worker.ses.bulk.answer import outcomes
            from rq_ses_worker.ses.outcome import Sent

            assert isinstance(found, list)
            return outcomes(Sent(200), b'{"BulkEmailEntryResults":[{"Status":"SUCCESS"}]}', entries)

    desk = Desk(redis, Forgetful())
    desk.work(rounds=1)
    assert places(redis) == {to: ["failed"] for to in addresses(10)}
    assert "1 results to 10 entries" in fetch(redis, sending).latest_result().exc_string
    assert fetch(redis, sending).meta["ambiguous"] == 1


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_no_answer_puts_all_entries_of_the_request_in_doubt_and_no_other(
    redis: Redis, sending: str, on_unknown: Any
) -> None:
    client = BulkClient()
    client.whole = Transient(None, "ReadTimeout", ambiguous=True)
    desk = Desk(redis, client, RetryPolicy(on_unknown=on_unknown))
    desk.work(rounds=1)
    place = "failed" if on_unknown == "hold" else "scheduled"
    assert places(redis) == {to: [place] for to in addresses(10)}
    assert fetch(redis, sending).meta["ambiguous"] == 1


def test_hold_sends_ten_entries_together_and_the_others_wait_in_front(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(35), number=1)
    enqueue(redis, campaign(), addresses(5, 35), number=2)
    desk = Desk(redis, BulkClient(), RetryPolicy(on_unknown="hold"))
    desk.work()
    assert desk.client.requests == [
        addresses(10),
        addresses(10, 10),
        addresses(10, 20),
        addresses(5, 30),
        addresses(5, 35),
    ]
    assert counts(redis) == (40, 40, 0)
    assert places(redis) == {to: ["finished"] for to in addresses(40)}


def test_no_request_is_larger_than_the_rate_allows(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(30))
    desk = Desk(redis, BulkClient(), gate=GatePolicy(max_send_rate=24.0))
    [claim] = desk.claim()
    assert claim.granted == 12
    desk.settle(desk.attempt(claim))
    assert desk.client.requests == [addresses(12)]
    assert places(redis) == {
        **{to: ["finished"] for to in addresses(12)},
        **{to: ["queued"] for to in addresses(18, 12)},
    }
    assert desk.claim() == []
    assert desk.lifecycle.view.refusal == "rate"


def test_parts_of_parts_find_their_places(redis: Redis) -> None:
    store(redis, campaign())
    enqueue(redis, campaign(), addresses(4))
    told = {
        "to-0@example.com": iter([{"Status": "ACCOUNT_THROTTLED"}, {"Status": "MESSAGE_REJECTED"}]),
        "to-1@example.com": iter([{"Status": "ACCOUNT_THROTTLED"}, {"Status": "TRANSIENT_FAILURE"}]),
        "to-2@example.com": iter([{"Status": "ACCOUNT_THROTTLED"}, success("to-2@example.com")]),
    }
    desk = Desk(redis, BulkClient(lambda to: next(told.get(to, iter(())), success(to))))
    desk.work(rounds=1)
    make_due(redis)
    desk.work(rounds=1)
    wanted = {"to-0": "failed", "to-1": "scheduled", "to-2": "finished", "to-3": "finished"}
    assert places(redis) == {f"{name}@example.com": [place] for name, place in wanted.items()}
    make_due(redis)
    desk.work()
    assert counts(redis) == (4, 3, 0)


def test_a_job_whose_terms_are_gone_fails_and_says_so(redis: Redis, sending: str) -> None:
    terms = redis.hget(keys_of(redis).campaign(NAME), "terms")
    assert terms
    redis.delete(keys_of(redis).terms(terms.decode()))
    desk = Desk(redis, BulkClient())
    desk.work()
    assert places(redis) == {to: ["failed"] for to in addresses(10)}
    assert "TermsMissing" in fetch(redis, sending).latest_result().exc_string
    assert desk.client.requests == []


@pytest.mark.parametrize(
    "refusal",
    [
        RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
        Terminal(400, "BadRequestException", "No."),
    ],
)
def test_a_request_that_ses_refuses_is_refused_to_all_its_entries(
    redis: Redis, sending: str, refusal: Any
) -> None:
    client = BulkClient()
    client.whole = refusal
    Desk(redis, client).work(rounds=1)
    place = "scheduled" if isinstance(refusal, RateLimited) else "failed"
    assert places(redis) == {to: [place] for to in addresses(10)}
    assert redis.keys("rq:job:*") == [f"rq:job:{sending}".encode()]
    assert QUEUE == "mail-bulk"


def test_a_campaign_that_is_rendered_here_is_sent_mail_by_mail(redis: Redis) -> None:
    template = Template(subject="For {{ name }}", html="<p>{{ name }}</p>", engine="jinja2")
    given = campaign(template=template)
    store(redis, given)
    enqueue(redis, given, addresses(4))
    desk = Desk(redis, BulkClient())
    desk.work()
    assert desk.client.mails == [(to, f"For {to.partition('@')[0]}") for to in addresses(4)]
    assert desk.client.requests == []
    assert places(redis) == {to: ["finished"] for to in addresses(4)}
    assert counts(redis) == (4, 4, 0)


def test_an_entry_that_cannot_be_rendered_fails_alone(redis: Redis) -> None:
    template = Template(subject="For {{ name }}", html="{{ 1 // (number | int) }}", engine="jinja2")
    given = campaign(template=template)
    store(redis, given)
    enqueue(redis, given, addresses(40))
    desk = Desk(redis, BulkClient())
    desk.work()
    # So many, and the breaker is closed still: SES was never asked.
    assert places(redis) == {to: ["failed"] for to in addresses(40)}
    assert desk.client.mails == []
    assert desk.shared.brake.held_until == 0
