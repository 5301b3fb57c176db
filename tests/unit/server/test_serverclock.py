from __future__ import annotations

import time

import pytest

from rq_ses.server.serverclock import ServerClock


def test_before_the_server_is_heard_the_hosts_own_clock_is_all_there_is() -> None:
    clock = ServerClock()
    assert clock.now() == pytest.approx(time.time(), abs=5)
    assert clock.age == float("inf")


def test_the_servers_time_goes_on_whatever_this_hosts_wall_clock_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ServerClock()
    then = time.monotonic() - 3.0
    clock.heard(1_000_000.0, then, then)
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert clock.now() == pytest.approx(1_000_003.0, abs=1)
    assert clock.age == pytest.approx(3.0, abs=1)


def test_a_slow_answer_does_not_spoil_what_a_quick_one_told() -> None:
    clock = ServerClock()
    now = time.monotonic()
    clock.heard(1_000_000.0, now - 0.001, now + 0.001)
    clock.heard(1_000_000.2, now, now + 8.0)  # looked at right after the call; the answer was held up
    assert clock.now() == pytest.approx(1_000_000.0, abs=2)
    assert clock.fresh(60)


def test_a_slow_answer_is_better_than_none_and_than_one_of_long_ago() -> None:
    clock = ServerClock()
    long_ago = time.monotonic() - 10_000.0
    clock.heard(500.0, long_ago - 2.0, long_ago + 2.0)
    assert clock.now() == pytest.approx(10_500.0, abs=5)
    now = time.monotonic()
    clock.heard(1_000_000.0, now - 3.0, now + 3.0)
    assert clock.now() == pytest.approx(1_000_000.0, abs=5)


def test_after_a_sleep_any_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ServerClock()
    now = time.monotonic()
    clock.heard(1_000_000.0, now, now)
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 3600)  # the monotonic clock stood still meanwhile
    assert not clock.fresh(60)
    clock.heard(1_003_600.0, now - 2.0, now + 2.0)
    assert clock.now() == pytest.approx(1_003_600.0, abs=5)
    assert clock.fresh(60)
