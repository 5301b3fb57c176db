"""A mail's life in order, as `rq-ses show` tells it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from rq_ses.cli.mails import show
from rq_ses.mails import Mails
from rq_ses.mails.timeline import timeline
from support.mails.keys import KEYS
from support.mails.mail import fetch
from support.receipts.doubtful import Doubtful


@pytest.fixture
def doubtful(redis: Redis) -> Doubtful:
    return Doubtful(redis)


def steps(redis: Redis, job_id: str) -> list[tuple[str, str]]:
    return [(step.what, step.detail) for step in timeline(Mails(redis).show(job_id))]


def retried(doubtful: Doubtful, attempts: int, first: float) -> None:
    claim = doubtful.claim()
    assert claim
    outcome = {"outcome": "transient", "code": "ServerError", "message": "later"}
    meta = {"attempts": attempts, "first_attempt_at": first, "last_outcome": outcome}
    assert doubtful.settle(claim, "retry", meta) == "done"


def shown(redis_url: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(show, [*arguments, "--redis-url", redis_url])
    return done.exit_code, done.stdout


def bounce(redis: Redis, mail_id: str) -> None:
    event = {"kind": "Bounce", "at": time.time() + 1, "recipient": "b@example.com", "type": "Permanent",
             "subtype": "General", "detail": "550 no such user"}  # fmt: skip
    redis.hset(KEYS.events(mail_id), mapping={"Bounce:1:b": json.dumps(event), "state": "bounced"})


def test_the_steps_stand_in_their_order_with_what_is_to_come(doubtful: Doubtful) -> None:
    job_id = doubtful.send(expires=3600.0)
    assert steps(doubtful.redis, job_id) == [("created", ""), ("expires", "")]
    retried(doubtful, 1, time.time())
    assert steps(doubtful.redis, job_id) == [
        ("created", ""), ("started", "attempt 1"), ("ended", "attempt 1: ServerError: later"),
        ("scheduled for", "attempt 2"), ("expires", ""),
    ]  # fmt: skip
    doubtful.ours.promote()
    retried(doubtful, 2, time.time() - 0.001)
    doubtful.ours.promote()
    claim = doubtful.claim()
    assert claim
    assert ("started", "attempt 3") in steps(doubtful.redis, job_id)
    assert ("attempt 1 ended", "in vain") in steps(doubtful.redis, job_id)
    assert doubtful.settle(claim, "sent", {"attempts": 3}) == "done"
    bounce(doubtful.redis, job_id)
    found = steps(doubtful.redis, job_id)
    assert [what for what, _ in found] == ["created", "enqueued", "started", "sent", "Bounce"]
    assert found[-2:] == [
        ("sent", "MessageId answered"),
        ("Bounce", "b@example.com, Permanent/General, 550 no such user"),
    ]


@pytest.mark.parametrize("state", ["failed", "resolved", "canceled"])
def test_the_end_says_how_it_came_to_that(doubtful: Doubtful, state: str) -> None:
    job_id = doubtful.in_doubt("queued" if state == "canceled" else "failed")
    if state == "resolved":
        assert doubtful.event("m-1", accepted=time.time() + 1) == "sent"
    elif state == "canceled":
        assert doubtful.outbox.cancel(job_id)
    expected: dict[str, tuple[str, str]] = {
        "failed": ("failed", "outcome unknown: ReadTimeout: No answer"),
        "resolved": ("sent", "MessageId m-1 (told by SES's event)"),
        "canceled": ("canceled", ""),
    }
    what, detail = steps(doubtful.redis, job_id)[-1]
    assert what == expected[state][0]
    assert expected[state][1] in detail or "ReadTimeout" in detail


def test_the_command_tells_it_as_rows_and_as_json(redis: Redis, redis_url: str, doubtful: Doubtful) -> None:
    job_id = doubtful.send(key="k")
    bounce(redis, job_id)
    code, rows = shown(redis_url, "--key", "k")
    assert code == 0
    assert "\nfeedback          bounced\n" in rows
    last = rows.splitlines()[-1]
    assert last.startswith("Bounce            ")
    assert last.endswith(", b@example.com, Permanent/General, 550 no such user")
    code, text = shown(redis_url, "--key", "k", "--json")
    told: dict[str, Any] = json.loads(text)
    assert [step["what"] for step in told["timeline"]] == ["created", "Bounce"]
    assert told["events"][0]["at"] == told["timeline"][-1]["at"]
    assert (told["feedback"], told["suppressed"]) == ("bounced", [])


def test_of_a_mail_that_is_forgotten_the_events_are_told(
    redis: Redis, redis_url: str, doubtful: Doubtful
) -> None:
    job_id = doubtful.send()
    bounce(redis, job_id)
    fetch(redis, job_id).delete()
    code, rows = shown(redis_url, job_id)
    assert (code, rows.split()[0]) == (1, "Bounce")
    code, text = shown(redis_url, job_id, "--json")
    told = json.loads(text)
    assert (code, told["status"], told["feedback"]) == (1, "unknown", "bounced")
    assert shown(redis_url, "nobody", "--json") == (1, "")
