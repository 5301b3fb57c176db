"""What a worker process counts, and that a successor goes on counting."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement
from rq_ses_worker.monitoring.tally import CODES, EXCHANGE, QUEUE_WAIT, SETTLE_LAG, Board, Tally
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient

NOW = datetime(2026, 5, 31, 9, 0, 12, 500_000, UTC).timestamp()


@pytest.fixture
def tally() -> Tally:
    [tally] = Board().tallies
    tally.enter()
    return tally


def ended(
    outcome: Outcome | None, action: Any = "sent", *, seconds: float = 0.02, ago: float = 0.0
) -> Settlement:
    clock = time.monotonic() - ago
    return Settlement(
        Lease(0, "a", "b1"), action, datetime.now(UTC), {}, {}, clock, seconds=seconds, outcome=outcome
    )


def claim(queued_at: bytes) -> Claim:
    return Claim(Lease(0, "a", "b1"), b"", b"", fresh=True, hooked=False, queued_at=queued_at)


def test_attempts_are_counted_by_how_ses_answered(tally: Tally) -> None:
    tally.attempted(
        [
            ended(Sent(200, message_id="m")),
            ended(Sent(200, code="Odd")),
            ended(RateLimited(429, "TooManyRequestsException")),
            ended(Transient(503, None)),
            ended(Transient(None, "ConnectTimeout")),
            ended(Terminal(None, None)),
            ended(None, "back"),
        ]
    )
    assert tally.read().outcomes == {
        ("sent", ""): 2,
        ("rate_limited", "TooManyRequestsException"): 1,
        ("transient", "HTTP_503"): 1,
        ("transient", "ConnectTimeout"): 1,
        ("terminal", "none"): 1,
    }
    counts = tally.read().histograms[EXCHANGE]
    assert counts[EXCHANGE.bounds.index(0.025)] == 6
    assert counts[-1] == pytest.approx(6 * 0.02)


@pytest.mark.parametrize(
    "code", ["anna@example.com", "<b>", "a b", "a\nb", 'a"b', "é", "x" * 65, "9", "\0", "a\0b", "-"]
)
def test_what_a_stranger_calls_an_error_names_no_time_series(tally: Tally, code: str) -> None:
    tally.attempted([ended(Terminal(400, code))])
    assert tally.read().outcomes == {("terminal", "other"): 1}


def test_codes_are_bounded_and_none_is_lost(tally: Tally) -> None:
    tally.attempted([ended(Transient(500, f"Code{number}")) for number in range(3 * CODES)])
    tally.attempted([ended(Terminal(400, "Late")), ended(RateLimited(429, "Late")), ended(Sent(200))])
    outcomes = tally.read().outcomes
    assert len(outcomes) == CODES + 4
    assert outcomes[("transient", "other")] == 2 * CODES
    assert outcomes[("terminal", "other")] == outcomes[("rate_limited", "other")] == 1
    assert outcomes[("sent", "")] == 1
    assert sum(outcomes.values()) == 3 * CODES + 3


def test_only_what_was_written_is_settled(tally: Tally) -> None:
    tally.settled(
        [
            ended(Sent(200), ago=0.2),
            ended(Sent(200), ago=0.2),
            ended(Transient(503), "retry", ago=0.2),
            ended(Sent(200), ago=0.2),
            ended(None, "failed"),
        ],
        ["done", "late", "lost", "vanished", "done"],
    )
    assert tally.read().settled == {"sent": 2, "retry": 0, "failed": 1, "back": 0}
    lags = tally.read().histograms[SETTLE_LAG]
    assert sum(lags[:-1]) == 2
    assert 0.4 <= lags[-1] < 60


def test_a_mail_has_waited_since_it_was_queued(tally: Tally) -> None:
    dates = [b"2026-05-31T09:00:12.490000Z", b"2026-05-31T08:59:12.500000Z", b"2026-05-31T09:00:12.000000Z"]
    tally.claimed([claim(date) for date in dates], NOW)
    counts = tally.read().histograms[QUEUE_WAIT]
    assert counts[-1] == pytest.approx(60.51, abs=1e-4)
    assert counts[QUEUE_WAIT.bounds.index(0.5)] == 1
    assert counts[QUEUE_WAIT.bounds.index(60.0)] == 1
    assert sum(counts[:-1]) == 3


def test_a_mail_queued_in_the_future_has_not_waited(tally: Tally) -> None:
    tally.claimed([claim(b"2026-05-31T09:00:13.000000Z")], NOW)
    counts = tally.read().histograms[QUEUE_WAIT]
    assert (counts[0], counts[-1]) == (1, 0.0)


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"soon",
        b"\xff" * 26,
        b"2026-05-31T09:00:nan",
        b"2026-05-31T09:00:-inf",
        b"2026-05-31T09:00:-9e99",
        b"1970-01-01T00:00:00.000000Z",
        b"2026-05-31T99:99:00.000000Z",
    ],
)
def test_a_date_that_is_none_is_not_counted(tally: Tally, date: bytes) -> None:
    tally.claimed([claim(date)], NOW)
    counts = tally.read().histograms[QUEUE_WAIT]
    assert all(math.isfinite(count) for count in counts)
    assert sum(counts) == 0


def test_what_is_held_is_being_sent_or_unsettled(tally: Tally) -> None:
    tally.pulse(3, 2)
    assert (tally.read().in_flight, tally.read().unsettled) == (3, 2)
    tally.pulse(4, -1)  # read without a lock, they may belong to two moments
    assert (tally.read().in_flight, tally.read().unsettled) == (4, 0)


def test_a_successor_goes_on_counting_and_is_not_what_its_predecessor_was(tally: Tally) -> None:
    tally.attempted([ended(Terminal(400, "MessageRejected")), ended(Sent(200))])
    tally.turn("working")
    tally.pulse(3, 2)
    tally.leave()
    assert tally.read().phase == "absent"
    tally.enter()
    tally.attempted([ended(Sent(200)), ended(Transient(503, "New"))])
    reading = tally.read()
    assert reading.outcomes == {("terminal", "MessageRejected"): 1, ("sent", ""): 2, ("transient", "New"): 1}
    assert (reading.phase, reading.in_flight, reading.unsettled) == ("starting", 0, 0)
