"""Looking at dead letters in a real Valkey: made by the worker's transitions, read page by page."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox, Submission
from rq_ses.deadletter import DeadLetterNotFound, DeadLetters, Filter
from rq_ses.deadletter.reading import reader as reading
from rq_ses_worker.ses.outcome import Terminal
from support.mails.deadletters import (
    FAILED,
    UNVERIFIED,
    fail,
    fail_queued,
    in_doubt,
    mails,
    refused,
    rejected,
    standing_failed,
)
from support.mails.mail import fetch, mail


def snapshot(redis: Redis) -> dict[bytes, Any]:
    read = {
        b"hash": redis.hgetall,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
        b"stream": redis.xrange,
    }
    return {key: (read[redis.type(key)](key), redis.expiretime(key)) for key in redis.scan_iter()}


def test_groups_count_by_code_and_cause_over_all_priorities(redis: Redis, letters: DeadLetters) -> None:
    fail(redis, mails(30), [rejected(f"user{n}@example.com", f"r-{n}") for n in range(30)], age=3600)
    fail(redis, mails(5), Terminal(403, "AccessDeniedException", "User x is not authorized"))
    fail(redis, mails(7), rejected("other@example.com"), queue="mail-bulk")
    fail(redis, mails(2), in_doubt(), queue="mail-high")
    groups = letters.groups()
    assert [(g.code, g.count, g.unknown) for g in groups] == [
        ("MessageRejected", 37, 0),
        ("AccessDeniedException", 5, 0),
        ("ReadTimeout", 2, 2),
    ]
    first = groups.groups[0]
    assert first.cause == f"{UNVERIFIED}ADDRESS"
    assert first.oldest
    assert first.newest
    assert first.newest - first.oldest > timedelta(minutes=59)
    assert (groups.count, groups.unknown, groups.gone, groups.foreign) == (44, 2, 0, 0)
    assert letters.groups(Filter(newer_than=60)).count == 14
    assert DeadLetters(redis, queues=["mail-bulk"]).groups().count == 7


def test_dead_letters_come_in_the_order_in_which_they_failed_over_many_pages(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    ids = [job_id for _ in range(3) for job_id in fail(redis, mails(10))]
    found = [letter.job_id for letter in letters.find()]
    # Those that were settled together share a score.
    assert [set(found[n : n + 10]) for n in (0, 10, 20)] == [set(ids[n : n + 10]) for n in (0, 10, 20)]


def test_what_is_kept_for_ever_is_paged_through_too(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    Outbox(redis, failure_ttl=-1).send_many(mails(40))
    fail_queued(redis)
    assert {redis.zscore(FAILED, one) for one in standing_failed(redis)} == {float("inf")}
    found = [letter.job_id for letter in letters.find()]
    assert sorted(found) == sorted(standing_failed(redis))
    assert letters.resend().resent == 40


def test_pages_are_found_again_whatever_others_move_meanwhile(
    redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 10)
    for _ in range(4):
        fail(redis, mails(25))
    ids = [one.decode() for one in redis.zrange(FAILED, 0, -1)]
    found = letters.find()
    seen = [next(found).job_id for _ in range(15)]
    for job_id in [*ids[:10], *ids[40:50]]:
        fetch(redis, job_id).requeue()
    redis.zadd(FAILED, {"before": 1})
    fail_queued(redis)
    seen += [letter.job_id for letter in found]
    assert seen[:20] == ids[:20]
    assert set(ids) - set(ids[40:50]) <= set(seen)
    assert len(seen) == len(set(seen))


def test_looking_changes_nothing(redis: Redis, letters: DeadLetters) -> None:
    [one, *_] = fail(redis, mails(5))
    redis.zadd(FAILED, {"expired": 1, "vanished": 2e9})
    before = snapshot(redis)
    list(letters.find(messages=True))
    letters.get(one)
    assert letters.groups().gone == 2
    letters.export(io.StringIO())
    letters.resend(limit=0)
    assert snapshot(redis) == before


def test_one_letter_is_shown_whole(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [Submission(mail(cc=["c@example.com"]), expires=600, on_unknown="hold")])
    letter = letters.get(job_id)
    assert letter.mail == mail(cc=["c@example.com"])
    assert letter.payload
    assert letter.payload.options.keys() == {"expires", "on_unknown"}
    assert letter.error.startswith("MessageRejected: Email address is not verified.")
    with pytest.raises(DeadLetterNotFound, match="is no failed mail of mail-high, mail, mail-bulk"):
        letters.get("no-such-job")
    letters.resend(Filter(ids=[job_id]))
    with pytest.raises(DeadLetterNotFound):
        letters.get(job_id)


def test_filters_on_mails_are_applied(redis: Redis, letters: DeadLetters) -> None:
    others = mails(3, sender="a@other.example")
    ids = fail(redis, [*mails(3, tags={"campaign": "may"}), *others], [rejected()] * 3 + [refused()] * 3)
    for wanted, expected in (
        (Filter(tags={"campaign": "may"}), ids[:3]),
        (Filter(sender_domain="other.example"), ids[3:]),
        (Filter(recipient="USER1@example.com"), [ids[1], ids[4]]),
        (Filter(recipient="user1@example.com", codes=["ConnectionRefused"]), [ids[4]]),
        (Filter(text="host refused"), ids[3:]),
        (Filter(ids=[*ids[2:4], "no-such-job", ids[2]]), ids[2:4]),
        (Filter(ids=[]), []),
    ):
        assert sorted(letter.job_id for letter in letters.find(wanted)) == sorted(expected), wanted
