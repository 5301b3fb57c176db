"""Mails of MIME among the dead letters: shown, found, changed, kept in a file and resent, byte for byte."""

from __future__ import annotations

import io
import json
from base64 import b64decode

import pytest
from redis import Redis

from rq_ses import Outbox, Submission, contract
from rq_ses.deadletter import DeadLetters, EditRefused, Filter, Resent
from rq_ses.deadletter.view import letter_object, letter_rows
from rq_ses.mails import Mails
from rq_ses.mails.view import mail_rows
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.ses.outcome import Terminal
from support.mails.deadletters import fail, in_doubt, mails, queued
from support.mails.keys import KEYS
from support.mails.mail import ODD, raw_mail


def waiting(redis: Redis) -> object:
    (job_id,) = queued(redis)
    data = redis.hget(KEYS.job(job_id), "data")
    assert isinstance(data, bytes)
    return read_job(data).message


def test_they_are_enqueued_under_a_key_like_any_other(redis: Redis) -> None:
    outbox = Outbox(redis)
    message = raw_mail(["anna@example.com", "ben@example.com"])
    first = outbox.send(message, key="k")
    assert outbox.send(message, key="k").duplicate
    assert waiting(redis) == message
    job = redis.hgetall(KEYS.job(first.job_id))
    assert job[b"description"].decode() == "anna@example.com (+1) → Grüße"
    assert job[contract.RECIPIENTS_FIELD.encode()] == b"2"


def test_they_are_shown_and_found_by_what_their_header_says(redis: Redis, letters: DeadLetters) -> None:
    [first, second] = fail(redis, [raw_mail(tags={"kind": "x"}), raw_mail(sender="s@other.example")])
    fail(redis, mails(1))
    rows = [*letter_rows(letters.get(first), str)]
    assert {("from", "Jörg ‹j@shop.example›"), ("to", "anna@example.com"), ("subject", "Grüße"),
            ("tag", "kind=x"), ("MIME", f"{len(ODD)} bytes"),
            (None, "To: hidden@list.example")} <= {*rows}  # fmt: skip
    assert not any("bare" in value for _, value in rows)
    assert b64decode(letter_object(letters.get(first))["mail"]["data"]) == ODD
    assert ("from", "s@other.example") in letter_rows(letters.get(second), str)
    found = letters.find(Filter(sender_domain="shop.example"))
    assert [letter.job_id for letter in found if letter.job_id in (first, second)] == [first]
    assert [letter.job_id for letter in letters.find(Filter(sender_domain="other.example"))] == [second]
    shown = [*mail_rows(Mails(redis).show(first), str)]
    assert {("from", "Jörg ‹j@shop.example›"), ("subject", "Grüße"), ("to", "anna@example.com")} <= set(shown)


def test_their_envelope_is_changed_and_nothing_that_stands_in_the_mime(
    redis: Redis, letters: DeadLetters
) -> None:
    [job_id] = fail(redis, [raw_mail()])
    wanted = Filter(ids=[job_id])
    with pytest.raises(EditRefused, match="subject: is not a field: it stands in data already"):
        letters.resend(wanted, edits={"subject": "Hi"})
    with pytest.raises(EditRefused, match="data': can't be changed"):
        letters.resend(wanted, edits={"data": "SGk="})
    assert letters.resend(wanted, edits={"to": ["new@example.com"], "sender": "s@example.com"}) == Resent(
        resent=1
    )
    assert waiting(redis) == raw_mail("new@example.com", sender="s@example.com")


def test_what_an_older_worker_has_parked_goes_out_by_a_newer_one(redis: Redis, letters: DeadLetters) -> None:
    parked = Terminal(None, "InvalidMessage", "data: is not a field: remove it")
    [job_id] = fail(redis, [raw_mail()], parked)
    assert "upgrade the workers and resend" in (letters.get(job_id).hint or "")
    assert letters.resend(Filter(codes=["InvalidMessage"])) == Resent(resent=1)
    assert waiting(redis) == raw_mail()


def test_a_file_of_them_is_put_back_into_another_redis(redis: Redis, letters: DeadLetters) -> None:
    message = raw_mail(configuration_set="prod")
    fail(redis, [Submission(message, key="k", on_unknown="hold")], in_doubt())
    target = io.StringIO()
    letters.export(target, Filter())
    assert b64decode(json.loads(target.getvalue())["message"]["data"]) == ODD
    redis.flushall()
    restored = letters.restore(io.BytesIO(target.getvalue().encode()))
    assert (restored.failed, restored.bad) == (1, 0)
    assert Outbox(redis).send(message, key="k").duplicate
    assert letters.resend(include_unknown=True) == Resent(resent=1)
    assert waiting(redis) == message
