"""What a process may begin while none of its mails ends well."""

from __future__ import annotations

import math
import time

import pytest

from rq_ses_worker.account.brake import HOLD, NARROW, Brake
from rq_ses_worker.account.gate import STREAK, GatePolicy
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient

DOWN = Transient(503, "ServiceUnavailable", "")
REJECTED = Terminal(400, "MessageRejected", "Email address is not verified.")


def braking(failures: int, streak: int = STREAK) -> Brake:
    brake = Brake(streak)
    for _ in range(failures):
        brake.ended(DOWN)
    return brake


FEW = int(STREAK * NARROW)
"""Failures in a row from which on mails go one by one."""


def test_a_few_failures_brake_nothing() -> None:
    assert braking(FEW - 1).room(1000) == math.inf


@pytest.mark.parametrize("failures", [FEW, STREAK - 1, STREAK + 1])
@pytest.mark.parametrize(("busy", "room"), [(0, 1), (1, 0), (15, 0)])
def test_after_some_more_mails_go_one_by_one(failures: int, busy: int, room: int) -> None:
    assert braking(failures).room(busy) == room


def test_failures_of_other_workers_brake_until_a_mail_here_or_a_claim_tells_better() -> None:
    brake = braking(1)
    brake.told(FEW)
    assert brake.room(1) == 0
    brake.told(FEW - 1)
    assert brake.room(1) == math.inf
    brake.told(FEW)
    brake.ended(Sent(200))
    assert brake.room(1) == math.inf


@pytest.mark.parametrize("healthy", [Sent(200), REJECTED])
def test_one_that_ends_well_releases_the_brake(healthy: Outcome) -> None:
    brake = braking(20)
    brake.ended(healthy)
    assert brake.room(1000) == math.inf


def test_a_429_neither_brakes_nor_releases() -> None:
    brake = braking(10)
    for _ in range(20):
        brake.ended(RateLimited(429, "TooManyRequestsException", ""))
    assert brake.room(1) == 0


def test_a_whole_streak_holds_everything_for_a_moment() -> None:
    assert braking(STREAK - 1).held_until == 0.0
    assert braking(STREAK).held_until == pytest.approx(time.monotonic() + HOLD, abs=0.5)


def test_a_breaker_that_is_left_to_sess_words_brakes_nothing() -> None:
    streak = GatePolicy(breaker_failures=1_000_000).streak
    assert braking(100_000, streak).room(1000) == math.inf
    assert braking(100, streak).held_until == 0.0


def test_an_answer_about_the_account_holds_everything_at_once_but_for_the_probe() -> None:
    brake = Brake()
    paused = Terminal(400, "SendingPausedException", "Email sending is currently paused.")
    brake.ended(paused, probe=True)
    assert brake.held_until == 0.0
    brake.ended(paused)
    assert brake.held_until > time.monotonic()
