"""What a failed job's hash tells, however it was written."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from rq_ses.deadletter import DeadLetter
from rq_ses.deadletter.reading.deadletter import ATTEMPT_FIELDS, Entry, read_letter
from rq_ses.deadletter.reading.payload import Payload
from rq_ses.deadletter.view import entry_rows
from rq_ses_worker.lifecycle.retry import _OURS, History
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient, details, summary

REFUSED = Terminal(400, "MessageRejected", "Email address is not verified.", "r-1")
DOWN = Transient(503, "ServiceUnavailable", "Try later.")
DOUBT = Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True)


def entry(meta: Any = None, error: bytes | str = b"", ended_at: str = "2026-05-31T09:00:00.000000Z") -> Entry:
    raw = meta if isinstance(meta, bytes) else json.dumps(meta).encode() if meta is not None else b""
    error = error.encode() if isinstance(error, str) else error
    return Entry(10, b"j1", b"1e9", b"failed", ended_at.encode(), raw, error, "a → b".encode(), b"")


def after(*outcomes: Outcome) -> DeadLetter:
    """The letter of a mail that had these attempts."""
    history = History()
    for outcome in outcomes:
        history = history.after(outcome, 1_780_000_000.5)
    return read_letter(entry(history.to_meta(outcomes[-1]), f"{summary(outcomes[-1])}\nHint: Do it."), "mail")


def test_what_the_worker_wrote_is_read() -> None:
    letter = after(RateLimited(429, "TooManyRequestsException", "Slow down"), REFUSED)
    assert (letter.code, letter.message) == ("MessageRejected", "Email address is not verified.")
    assert (letter.http_status, letter.request_id, letter.attempts) == (400, "r-1", 2)
    assert letter.failed_at == datetime(2026, 5, 31, 9, tzinfo=UTC)
    assert letter.first_attempt_at == datetime.fromtimestamp(1_780_000_000.5, UTC)
    assert (letter.job_id, letter.queue, letter.description) == ("j1", "mail", "a → b")
    assert letter.hint
    assert not letter.unknown


def test_every_field_of_the_workers_meta_is_known_here() -> None:
    assert ATTEMPT_FIELDS | {"ambiguous", "consented"} == _OURS


def test_a_mail_in_doubt_is_resent_with_its_doubt_and_consent_to_one_delivery_more() -> None:
    letter = after(DOUBT, DOUBT, DOUBT)
    assert json.loads(letter.fresh_meta()) == {"ambiguous": 3, "consented": 4}
    again = read_letter(entry({"last_outcome": details(DOUBT), "ambiguous": 4, "consented": 4}), "mail")
    assert json.loads(again.fresh_meta()) == {"ambiguous": 4, "consented": 5}


def test_a_mail_whose_attempts_nobody_counted_is_in_doubt_once() -> None:
    letter = read_letter(entry({}, "rq.exceptions.AbandonedJobError: gone"), "mail")
    assert letter.unknown
    assert json.loads(letter.fresh_meta()) == {"ambiguous": 1, "consented": 2}


def test_a_fresh_meta_keeps_the_users_own() -> None:
    letter = read_letter(
        entry({"attempts": 3, "last_outcome": details(REFUSED), "final": True, "order": {"id": 4711}}), "mail"
    )
    assert json.loads(letter.fresh_meta()) == {"order": {"id": 4711}}


@pytest.mark.parametrize("outcomes", [(DOUBT,), (DOUBT, REFUSED), (DOWN, DOUBT), (DOUBT, DOWN)])
def test_a_mail_that_ses_may_have_accepted_in_any_attempt_is_unknown(outcomes: tuple[Outcome, ...]) -> None:
    assert after(*outcomes).unknown


@pytest.mark.parametrize("outcomes", [(REFUSED,), (DOWN,), (RateLimited(429, "Throttling", "x"), REFUSED)])
def test_a_mail_that_ses_surely_refused_is_not_unknown(outcomes: tuple[Outcome, ...]) -> None:
    assert not after(*outcomes).unknown


@pytest.mark.parametrize(("ambiguous", "unknown"), [(0, False), (1, True), (True, True), ("x", True)])
def test_a_count_of_attempts_in_doubt_decides_where_there_is_one(ambiguous: object, unknown: bool) -> None:
    meta = {"attempts": 10, "transient": 10, "ambiguous": ambiguous, "last_outcome": details(DOWN)}
    assert read_letter(entry(meta, summary(DOWN)), "mail").unknown is unknown


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("MessageRejected: No. (HTTP 400, request id r)", "MessageRejected", "No."),
        (
            "outcome unknown: ReadTimeout: No answer. (SES may have accepted the mail)",
            "ReadTimeout",
            "No answer.",
        ),
        (
            "Traceback (most recent):\n  File x\nrq_ses_worker.job.SendFailed: AccessDenied: No\nHint: x",
            "AccessDenied",
            "No",
        ),
        (
            "Traceback:\nrq.exceptions.AbandonedJobError: Moved to FailedJobRegistry, at noon",
            "AbandonedJobError",
            "Moved to FailedJobRegistry, at noon",
        ),
        ("Moved to FailedJobRegistry", "Unknown", "Moved to FailedJobRegistry"),
        ("", "Unknown", ""),
    ],
)
def test_without_a_report_the_line_in_the_registry_is_read_and_the_outcome_is_unknown(
    error: str, code: str, message: str
) -> None:
    for written in (error.encode(), zlib.compress(error.encode())):
        letter = read_letter(entry(None, written), "mail")
        assert (letter.code, letter.message) == (code, message)
        assert letter.error == error.removesuffix("\nHint: x")
        assert letter.unknown
        assert not letter.reported


def test_a_report_of_an_older_failure_is_not_believed() -> None:
    meta = {"attempts": 1, "last_outcome": details(REFUSED)}
    letter = read_letter(entry(meta, "Moved to FailedJobRegistry, due to AbandonedJobError"), "mail")
    assert letter.unknown
    assert letter.code == "Unknown"


HOSTILE: dict[str, Any] = {
    "no JSON": b"\xff\xfe{",
    "nested too deep for JSON": b"[" * 200_000,
    "nested deep": json.dumps({"last_outcome": {}}).encode()[:-1]
    + b', "x": '
    + b"[" * 900
    + b"]" * 900
    + b"}",
    "a list": [],
    "a report that is text": {"last_outcome": "terminal"},
    "a report without words": {
        "last_outcome": {"outcome": "terminal", "code": 7, "message": ["x"], "status": True}
    },
    "numbers beyond reason": {
        "attempts": 1e400,
        "transient": -1,
        "first_attempt_at": 1e300,
        "last_outcome": {"outcome": "terminal", "ambiguous": 0, "status": 10**300},
    },
    "lone surrogates": b'{"last_outcome": {"outcome": "terminal", "code": "\\ud800", "message": "\\udfff"}}',
}


@pytest.mark.parametrize("meta", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("error", [b"", b"\xff\x00", b"x\x9c\xff", zlib.compress(b"x: " * 5_000_000)])
def test_nothing_in_a_hash_makes_reading_raise(meta: Any, error: bytes) -> None:
    letter = read_letter(entry(meta, error, ended_at="9999-99-99"), "mail")
    assert letter.unknown
    assert letter.failed_at is None
    assert len(letter.error) <= 65_536
    assert len(letter.message) <= 2000
    json.dumps(letter.meta)
    letter.fresh_meta()
    assert letter.hint is None or letter.hint


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-31T09:00:00.000000", datetime(2026, 5, 31, 9, tzinfo=UTC)),
        ("2026-05-31T11:00:00.000000+02:00", datetime(2026, 5, 31, 9, tzinfo=UTC)),
        ("", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("\u0662026", None),
    ],
)
def test_when_it_failed_is_read_as_rq_writes_it(text: str, moment: datetime | None) -> None:
    assert read_letter(entry(ended_at=text), "mail").failed_at == moment


@pytest.mark.parametrize("entry", [5, None, "no list", {"a": 1, "b": 2}, [], ["user@example.com"]])
def test_what_is_no_entry_of_a_campaign_is_shown_without_data(entry: Any) -> None:
    rows = list(entry_rows(Payload({"campaign": "sale", "entries": [entry]}, {})))
    assert rows[-1] == ("data", "")
