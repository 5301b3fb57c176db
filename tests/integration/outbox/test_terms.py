"""Terms of a mail: by whose clock they are reckoned, and which make no sense together."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from redis import Redis

from rq_ses import Outbox, OutboxUnavailable, Submission
from rq_ses.server.serverclock import server_time
from rq_ses_worker.lifecycle.task import read_job
from support.mails.keys import KEYS
from support.mails.mail import mail


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis, enqueue_timeout=30)  # the machine may be busy with other tests


@pytest.fixture(params=[-7200.0, 7200.0], ids=["behind", "ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """This host's wall clock goes two hours wrong."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + request.param)
    return request.param


def expiry(redis: Redis, job_id: str) -> float:
    data = redis.hget(KEYS.job(job_id), "data")
    expires = read_job(data).expires
    assert expires is not None
    return expires


def asked(redis: Redis) -> int:
    """How often clients have asked for the time, scripts aside."""
    return int(redis.info("commandstats").get("cmdstat_time", {}).get("calls", 0))


@pytest.mark.usefixtures("wrong_clock")
def test_seconds_until_a_mail_expires_are_the_servers(redis: Redis, outbox: Outbox) -> None:
    before = server_time(redis)
    [one] = outbox.send_many([Submission(mail(), expires=60)])
    other = outbox.send(mail(), expires=timedelta(minutes=1))
    after = server_time(redis)
    for receipt in (one, other):
        assert before + 59 <= expiry(redis, receipt.job_id) <= after + 61


@pytest.mark.usefixtures("wrong_clock")
def test_a_moment_is_past_when_the_server_says_so(redis: Redis, outbox: Outbox) -> None:
    now = server_time(redis)
    soon, gone = (datetime.fromtimestamp(now + seconds, UTC) for seconds in (60, -60))
    assert expiry(redis, outbox.send(mail(), expires=soon).job_id) == soon.timestamp()
    with pytest.raises(ValueError, match=r"expires: \S+ is past: it is \S+ by the server's clock"):
        outbox.send(mail(), expires=gone)


def test_the_time_is_asked_once_a_minute_and_only_for_mails_that_expire(redis: Redis, outbox: Outbox) -> None:
    before = asked(redis)
    plain = [Submission(mail(), delay=5), Submission(mail(), at=datetime(2090, 1, 1, tzinfo=UTC)), mail()]
    outbox.send_many(plain)
    without = asked(redis) - before
    Outbox(redis).send_many([*plain, *[Submission(mail(), expires=60)] * 50])
    assert asked(redis) - before == 2 * without + 1


def test_a_host_that_slept_asks_anew(redis: Redis, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.send(mail(), expires=60)
    right = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: right() - 30)  # as it is after half a minute of sleep
    after = server_time(redis)
    assert expiry(redis, outbox.send(mail(), expires=60).job_id) >= after + 59


def test_a_server_that_does_not_tell_the_time_leaves_nothing_enqueued() -> None:
    outbox = Outbox("redis://127.0.0.1:1/0", enqueue_timeout=0.1)
    with pytest.raises(OutboxUnavailable, match="Redis did not tell its time within") as caught:
        outbox.send(mail(), expires=60)
    assert caught.value.job_ids == ()


def moment(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


SENSELESS = {
    "delay, expires in seconds": lambda: {"delay": 3600, "expires": 60},
    "the same seconds": lambda: {"delay": 60, "expires": 60},
    "timedeltas": lambda: {"delay": timedelta(hours=1), "expires": timedelta(minutes=1)},
    "delay, expires at a moment": lambda: {"delay": 3600, "expires": moment(60)},
    "at, expires in seconds": lambda: {"at": moment(3600), "expires": 60},
    "at, expires at a moment": lambda: {"at": moment(3600), "expires": moment(60)},
}


@pytest.mark.parametrize("case", SENSELESS)
def test_a_mail_that_would_expire_before_it_is_due_is_refused_with_both_moments(
    redis: Redis, outbox: Outbox, case: str
) -> None:
    terms: dict[str, Any] = SENSELESS[case]()
    words = r"expires: (\S+) is not after (\S+), when it is due \((at|delay)\)"
    with pytest.raises(ValueError, match=words) as caught:
        outbox.send(mail(), **terms)
    with pytest.raises(ValueError, match=words):
        outbox.send_many([mail(), Submission(mail(), **terms)])
    expires, due = (datetime.fromisoformat(word) for word in re.findall(r"20\S+\+00:00", str(caught.value)))
    assert expires <= due
    assert redis.keys("*") == []
    good, bad = outbox.try_send_many([mail(), Submission(mail(), **terms)])
    assert isinstance(bad, ValueError)
    assert redis.exists(KEYS.job(good.job_id))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "terms",
    [
        {"delay": 60, "expires": 61},
        {"delay": 0, "expires": 1},
        {"at": datetime(2020, 1, 1, tzinfo=UTC), "expires": 60},
    ],
)
def test_a_mail_that_expires_after_it_is_due_is_taken(outbox: Outbox, terms: dict[str, Any]) -> None:
    assert not outbox.send(mail(), **terms).duplicate


def test_no_time_at_all_is_refused(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="expires: 0 seconds leave no time"):
        outbox.send(mail(), expires=0)


@pytest.mark.parametrize("name", ["at", "expires"])
def test_a_moment_that_its_time_zone_leaves_out_is_refused(outbox: Outbox, name: str) -> None:
    gap = datetime(2027, 3, 28, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    with pytest.raises(ValueError, match=rf"{name}: 2027-03-28T02:30:00 doesn't exist"):
        outbox.send(mail(), **{name: gap})  # type: ignore[arg-type]
