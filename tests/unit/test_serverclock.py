from __future__ import annotations

import time

import pytest

from rq_ses.serverclock import ServerClock


def test_before_the_server_is_heard_the_hosts_own_clock_is_all_there_is() -> None:
    clock = ServerClock()
    assert clock.now() == pytest.approx(time.time(), abs=5)
    assert clock.age == float("inf")


def test_the_servers_time_goes_on_whatever_this_hosts_wall_clock_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ServerClock()
    clock.heard(1_000_000.0, time.monotonic() - 3.0)
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert clock.now() == pytest.approx(1_000_003.0, abs=1)
    assert clock.age == pytest.approx(3.0, abs=1)
