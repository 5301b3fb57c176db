"""Who is alive, and who is at work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rq_ses.gate import GateState
from rq_ses_worker.monitoring.tally import Phase, Reading
from rq_ses_worker.monitoring.vitals import STALE, why_not_ready, why_unhealthy

CLOCK = 10_000.0


def reading(phase: Phase = "working", *, pulse: float = 0.1, heart: float = 1.0) -> Reading:
    """A process whose signs of life are some seconds old."""
    return Reading(phase, CLOCK - pulse, CLOCK - heart, 0, 0, {}, {}, {})


def gate(**changes: Any) -> GateState:
    closed = GateState(
        account="default", region="us-east-1", now=0.0, breaker="closed", manual=False, reason="", since=None,
        next_probe=None, probe=None, closed_at=None, openings=0, failures=0, claimed=0, rate=None,
        max_send_rate=None, rate_in_use=0.0, quota=None, quota_left=None, answered=None, refused=None,
    )  # fmt: skip
    return replace(closed, **changes)


def test_a_worker_that_runs_is_alive_and_at_work() -> None:
    assert why_unhealthy([reading()], CLOCK) == []
    assert why_not_ready([reading()], CLOCK, gate(), redis_answers=True) == []


def test_a_dispatcher_that_does_not_go_round_hangs() -> None:
    [line] = why_unhealthy([reading(pulse=STALE + 1)], CLOCK)
    assert line == "the worker hangs: its dispatcher has not gone round for 61 s"


def test_a_heartbeat_that_stops_tells_of_a_thread_that_has_ended() -> None:
    [line] = why_unhealthy([reading(), reading(heart=STALE + 1)], CLOCK)
    assert line.startswith("worker process 2: a thread of it has ended")


def test_a_worker_that_starts_or_stops_is_alive_and_not_at_work() -> None:
    waits, stops = reading("starting", heart=1e4), reading("stopping", pulse=1e4, heart=1e4)
    assert why_unhealthy([waits], CLOCK) == why_unhealthy([stops], CLOCK) == []
    assert "preflight" in why_not_ready([waits], CLOCK, None, redis_answers=True)[0]
    assert why_not_ready([stops], CLOCK, None, redis_answers=True) == ["stopping"]


def test_one_process_at_work_is_enough_and_none_at_all_is_not() -> None:
    gone = reading("absent", pulse=1e4, heart=1e4)
    assert why_unhealthy([gone, reading()], CLOCK) == []
    assert why_not_ready([gone, reading()], CLOCK, gate(), redis_answers=True) == []
    assert why_unhealthy([gone, gone], CLOCK) == ["no worker process runs"]


def test_without_redis_nobody_is_at_work() -> None:
    assert why_unhealthy([reading()], CLOCK) == []
    assert why_not_ready([reading()], CLOCK, None, redis_answers=False) == ["Redis does not answer"]


@pytest.mark.parametrize("breaker", ["open", "half-open"])
def test_a_breaker_that_blames_the_credentials_is_a_hindrance(breaker: Any) -> None:
    refused = gate(breaker=breaker, reason="InvalidClientTokenId: The token <b>is</b> invalid. (HTTP 403)")
    [line] = why_not_ready([reading()], CLOCK, refused, redis_answers=True)
    assert line.startswith("the breaker is open for the credentials: InvalidClientTokenId: The token ‹b›")


@pytest.mark.parametrize(
    "reason", ["", "by hand", "Transient: InvalidClientTokenId", "SendingPausedException: no"]
)
def test_a_breaker_that_is_open_for_another_reason_is_none(reason: str) -> None:
    # It closes by itself, or somebody has opened it: nothing that another worker would do better.
    assert why_not_ready([reading()], CLOCK, gate(breaker="open", reason=reason), redis_answers=True) == []


def test_a_breaker_that_was_open_is_none() -> None:
    closed = gate(reason="ExpiredToken: The security token included in the request is expired")
    assert why_not_ready([reading()], CLOCK, closed, redis_answers=True) == []
