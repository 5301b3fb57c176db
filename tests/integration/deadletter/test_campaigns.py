"""Dead entries of campaigns: counted, shown, chosen, resent, discarded, and exported with what they share."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Submission
from rq_ses.campaign import Template
from rq_ses.campaign.bulkjob import encode_terms, read, read_terms
from rq_ses.campaign.names import entry_id, indexed
from rq_ses.deadletter import DeadLetters, Discarded, EditRefused, Filter, Resent
from rq_ses.deadletter.reading.payload import read_payload
from rq_ses.deadletter.resending import Pace
from rq_ses.deadletter.view import letter_object, letter_rows
from support.campaigns.standing import BULK, campaign, counts, entries, fail_entries
from support.mails.breaking import Breakable, each_break
from support.mails.deadletters import fail, standing_failed
from support.mails.keys import KEYS
from support.mails.mail import mail, status


@pytest.fixture
def dead(redis: Redis) -> list[str]:
    """A mail, a campaign's job of three entries, and one of one."""
    [single] = fail(redis, [Submission(mail("user1@example.com"))])
    sale = campaign(tags={"kind": "sale"})
    several = fail_entries(redis, sale, entries(3))
    alone = fail_entries(redis, sale, entries(1, 7, tags={"kind": "vip"}), 2)
    return [single, several, alone]


def test_each_entry_counts_and_a_job_of_several_is_one_dead_letter(
    letters: DeadLetters, dead: list[str]
) -> None:
    [group] = letters.groups()
    assert (group.count, group.letters) == (5, 3)
    assert [(one.campaign, one.mails) for one in letters.find()] == [("", 1), ("sale", 3), ("sale", 1)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(campaign="sale"), [1, 2]),
        (Filter(campaign="other"), []),
        (Filter(recipient="user1@example.com"), [0, 1]),
        (Filter(recipient="user7@example.com"), [2]),
        (Filter(sender_domain="example.com"), [0, 1, 2]),
        (Filter(tags={"kind": "sale"}), [1]),
        (Filter(tags={"kind": "vip"}), [2]),
    ],
)
def test_entries_are_chosen_by_campaign_address_and_terms(
    letters: DeadLetters, dead: list[str], wanted: Filter, found: list[int]
) -> None:
    assert [one.job_id for one in letters.find(wanted)] == [dead[place] for place in found]


def test_what_entries_share_and_what_each_has_is_shown(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    letter = letters.get(dead[1])
    rows = [f"{label} {text}" for label, text in letter_rows(letter, str)]
    assert "campaign sale: 3 of its entries, for one reason" in rows
    assert "template For {{name}}" in rows
    assert [row for row in rows if row.startswith("to ")] == [f"to user{n}@example.com" for n in range(3)]
    assert 'data {"name": "N2"}' in rows
    shown = letter_object(letter)
    assert (shown["campaign"], shown["mails"]) == ("sale", 3)
    assert json.loads(json.dumps(shown))["terms"]["sender"] == "Shop <shop@example.com>"
    redis.delete(KEYS.terms(encode_terms(campaign(tags={"kind": "sale"})).hash))
    [warning] = [
        text for label, text in letter_rows(DeadLetters(redis).get(dead[1]), str) if label == "not valid"
    ]
    assert warning.startswith("the campaign's terms are missing")


def test_what_is_discarded_is_counted_in_the_same_step(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    assert letters.discard(Filter(campaign="sale")) == Discarded(discarded=4)
    assert counts(redis) == {"enqueued": 4, "discarded": 4}
    assert letters.discard() == Discarded(discarded=1)
    fail_entries(redis, campaign("lost"), entries(1))
    redis.delete(KEYS.campaign("lost"))
    assert letters.discard().discarded == 1
    assert redis.exists(KEYS.campaign("lost")) == 0


def test_entries_that_failed_together_are_moved_together_or_not_at_all(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    wanted = Filter(recipient="user1@example.com", campaign="sale")
    assert letters.discard(wanted) == Discarded(partly=1)
    assert letters.resend(wanted) == Resent(partly=1)
    assert letters.resend(Filter(campaign="sale"), limit=2) == Resent(resent=1)
    assert status(redis, dead[1]) == "failed"
    assert letters.resend(Filter(ids=[dead[1]])) == Resent(resent=3)
    assert redis.lrange(KEYS.queue(BULK), 0, -1) == [dead[2].encode(), dead[1].encode()]
    assert counts(redis) == {"enqueued": 4}


def test_a_rate_is_one_of_mails_whatever_they_stand_in(
    letters: DeadLetters, dead: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(Pace, "wait", lambda _, count: waited.append(count))
    assert letters.resend(Filter(campaign="sale"), rate=10) == Resent(resent=4)
    assert waited == [3, 1]


def test_an_entry_cant_be_changed_for_its_template_is_shared(letters: DeadLetters, dead: list[str]) -> None:
    done = letters.resend(edits={"sender": "new@example.com"})
    assert (done.resent, done.invalid) == (1, 4)
    with pytest.raises(EditRefused):
        letters.resend(edits={"text": "x"})


def exported(letters: DeadLetters) -> io.BytesIO:
    target = io.StringIO()
    assert letters.export(target, Filter(campaign="sale")).exported == 2
    return io.BytesIO(target.getvalue().encode())


def test_an_export_brings_its_terms_back_before_its_entries(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    sale = campaign(tags={"kind": "sale"})
    data = redis.hget(KEYS.job(dead[1]), "data")
    assert data
    file = exported(letters)
    redis.flushall()
    done = letters.restore(file)
    assert (done.failed, done.bad) == (2, 0)
    assert standing_failed(redis, BULK) == set(dead[1:])
    terms = encode_terms(sale)
    stored = redis.get(KEYS.terms(terms.hash))
    assert stored
    assert read_terms("sale", terms.hash, stored) == sale
    restored = redis.hget(KEYS.job(dead[1]), "data")
    assert restored
    assert read(read_payload(restored).fields) == read(read_payload(data).fields)
    assert counts(redis) == {"enqueued": 4}
    assert redis.sismember(KEYS.campaigns, "sale")
    bucket, field = indexed(entry_id("sale", "user2@example.com"))
    assert redis.hget(KEYS.campaign_index("sale", bucket), field) == b"0"
    assert sorted(one.mails for one in letters.find()) == [1, 3]


def test_what_was_discarded_is_so_no_more_when_it_is_imported(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    file = exported(letters)
    letters.discard(Filter(ids=[dead[1]]))
    assert letters.restore(file, resend=True, include_unknown=True).queued == 1
    assert counts(redis) == {"enqueued": 4}
    assert status(redis, dead[1]) == "queued"


def test_an_entry_without_its_terms_isnt_imported(
    redis: Redis, letters: DeadLetters, dead: list[str]
) -> None:
    lines = [json.loads(line) for line in exported(letters)]
    del lines[0]["terms"]
    lines[1]["terms"] = encode_terms(campaign(template=Template(subject="x", text="y"))).data.hex()
    redis.flushall()
    problems: list[str] = []
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    done = letters.restore(io.BytesIO(text.encode()), on_problem=lambda _, problem: problems.append(problem))
    assert done.bad == 2
    assert all("has another hash" in problem for problem in problems)
    assert redis.keys("*") == []


def test_an_import_that_breaks_off_is_made_again(redis: Redis, letters: DeadLetters, dead: list[str]) -> None:
    file = exported(letters)
    archive: Any = letters._archive
    archive._script = Breakable(redis, archive._script)

    def act(number: int) -> None:
        archive._script.at = number
        for _ in range(2):
            file.seek(0)
            with suppress(ResponseError):
                letters.restore(file)
        assert standing_failed(redis, BULK) == set(dead[1:])
        assert [status(redis, one) for one in dead[1:]] == ["failed", "failed"]
        assert redis.exists(KEYS.terms(encode_terms(campaign(tags={"kind": "sale"})).hash))
        # Too few are counted, or none: audit mends that.
        assert set(counts(redis)) <= {"enqueued"}
        assert counts(redis).get("enqueued", 0) <= 4

    assert each_break(redis, act) > 20
