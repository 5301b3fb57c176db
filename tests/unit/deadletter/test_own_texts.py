"""Every text that we write ourselves is one group, whatever names, numbers and ids stand in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from rq_ses import Message, explain
from rq_ses.deadletter.cause import cause
from rq_ses.deadletter.groups import Tally
from rq_ses.deadletter.reading.deadletter import Entry, read_letter
from rq_ses_worker.engine.attempt import internal_error
from rq_ses_worker.lifecycle.retry import (
    Failed,
    History,
    RetryPolicy,
    decide,
    expired,
    lost_before_sending,
    lost_worker,
)
from rq_ses_worker.lifecycle.task import JobRefused, read_job
from rq_ses_worker.ses.failure import failed
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from rq_ses_worker.ses.wire.deadline import Phase

WORKERS = (
    "web1.71.403fbf",
    "web-2.example.com.8.a1b2c3",
    "mail",
    "a b",
    "worker was",
    "host.1.0000ff" * 7,
    "",
)
REFUSED = Terminal(400, "MessageRejected", "No.", "r-1")
DOWN = Transient(code="ConnectionRefused", message="The host refused the connection.")
SLOW = RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded.", "r-2")
DOUBT = Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True)


def groups(outcomes: Iterable[tuple[Outcome, str]], *, reported: bool) -> list[tuple[str, str]]:
    """The groups of mails that failed with these outcomes and lines, with the worker's report or without."""
    tally = Tally()
    for outcome, line in outcomes:
        meta = json.dumps(History().after(outcome, 1.0).to_meta(outcome)) if reported else "{}"
        entry = Entry(1, b"j", b"1", b"failed", b"", meta.encode(), line.encode(), b"", b"")
        tally.add(read_letter(entry, "mail"))
    return [(group.code, group.cause) for group in tally.groups()]


def lines(outcome: Outcome) -> list[tuple[Outcome, str]]:
    """What an attempt that ended so leaves in the failed registry, after any number of attempts."""
    assert not isinstance(outcome, Sent)
    found: list[tuple[Outcome, str]] = []
    for attempts in (1, 2, 31):
        history = History()
        for _ in range(attempts):
            history = history.after(outcome, 100.0)
        for policy in (
            RetryPolicy(max_attempts=attempts, on_unknown="hold"),
            RetryPolicy(max_attempts=attempts),
            RetryPolicy(max_attempts=10_000, give_up_after=10.0 * attempts),
        ):
            for ended, expires in ((100.0 + 1000 * attempts, None), (100.0, 101.0)):
                decision = decide(outcome, history, policy, ended=ended, expires=expires)
                if isinstance(decision, Failed):
                    found.append((outcome, decision.line))
    return found


@pytest.mark.parametrize("reported", [True, False])
def test_a_lost_worker_is_one_group_whatever_its_name(reported: bool) -> None:
    named = [pair for name in WORKERS if name for pair in lines(lost_worker(name))]
    assert groups(named, reported=reported) == [("WorkerLost", "worker NAME was lost while sending the mail")]
    unsent = [pair for name in WORKERS if name for pair in lines(lost_before_sending(name))]
    assert len(groups(unsent, reported=reported)) == 1


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize("outcome", [DOWN, SLOW, DOUBT, REFUSED, expired()])
def test_how_often_it_was_tried_and_how_long_makes_no_group(outcome: Outcome, reported: bool) -> None:
    found = lines(outcome)
    assert len({line for _, line in found}) > 1 or isinstance(outcome, Terminal)
    assert len(groups(found, reported=reported)) == 1


def test_each_way_an_exchange_breaks_off_is_one_group_whatever_the_time_out() -> None:
    for phase in Phase:
        for error in (TimeoutError(), ConnectionRefusedError(), ConnectionResetError(), ValueError()):
            ends = [failed(error, phase, seconds) for seconds in (0.5, 5.0, 7.25, 120.0)]
            assert len({cause(end.message, end.code or "") for end in ends}) == 1


def test_a_defect_is_one_group_for_each_kind_of_error() -> None:
    texts = [internal_error(error).message for error in (ValueError("a 1"), ValueError("b 2"))]
    assert len(set(map(cause, texts))) == 1


def refusals(jobs: Iterable[bytes]) -> set[tuple[str, str]]:
    found = set()
    for data in jobs:
        with pytest.raises(JobRefused) as caught:
            read_job(data)
        found.add((caught.value.code, cause(caught.value.reason, caught.value.code)))
    return found


def test_refused_jobs_are_one_group_whatever_they_call() -> None:
    names = ("os.system", "app.tasks.resize", 'it\'s "quoted"', "x" * 500)
    assert len(refusals(json.dumps([name, None, [], {}]).encode() for name in names)) == 1
    assert len(refusals([b"", b"\x80\x04", b"no json", b"[1, 2]"])) == 1


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("to", [["nobody"], ["someone else"], ["x" * 400]]),
        ("sender", ["a@c..d", "anna@example..com", "it's me <x@y..example>"]),
        ("headers", [{"X A": "1"}, {"Y B 7": "2"}]),
        ("tags", [{"a": "ä"}, {"a": 'it\'s "ö"'}]),
        ("to", [["a@example.com"] * 51, ["a@example.com"] * 70]),
    ],
)
def test_invalid_messages_are_one_group_whatever_they_hold(field: str, values: list[Any]) -> None:
    fields = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "s", "text": "t"}
    causes = set()
    for value in values:
        with pytest.raises(ValidationError) as caught:
            Message.model_validate({**fields, field: value})
        causes.add(cause("; ".join(explain(caught.value)), "InvalidMessage"))
    assert len(causes) == 1, causes


def test_a_value_that_ses_quotes_makes_no_group_and_the_field_does() -> None:
    text = "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: Member must …"
    assert len({cause(text.format(value, "emailTags")) for value in ("a b", "[x=y]", "ö")}) == 1
    assert len({cause(text.format("a", field)) for field in ("emailTags", "content")}) == 2


def test_moments_make_no_group() -> None:
    text = "the mail expired at {} before it could be sent"
    moments = ("2026-05-31T09:00:00+02:00", "2027-01-01 10:30:00Z", "2026-05-31T09:00:00.123456Z")
    assert len({cause(text.format(moment)) for moment in moments}) == 1
