"""What a worker's log says of the gate: each change once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from fakeredis import FakeRedis

from rq_ses.gate import read_gate
from rq_ses_worker.account.gate import View
from rq_ses_worker.engine.claiming.gatewatch import GateWatch

CLOSED = read_gate(FakeRedis(), "default", "us-east-1")
USED_UP = View("quota", 0.1, waiting=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Any:
    clock = Clock()
    with mock.patch("rq_ses_worker.engine.claiming.gatewatch.time", clock):
        yield clock


def watch(**state: Any) -> GateWatch:
    lifecycle = mock.Mock()
    lifecycle.gate_state.return_value = replace(CLOSED, **state)
    return GateWatch(lifecycle)


def test_a_day_that_ends_mail_by_mail_is_told_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    gate = watch(quota=200.0, quota_left=0.0)
    for _ in range(20):
        gate.look(USED_UP)
        clock.now += 10
        gate.look(View())
    assert [record.message for record in caplog.records] == [
        "daily quota used up (200 in 24 hours): mails wait in the queue"
    ]
    clock.now += 60
    gate.look(View())
    assert caplog.records[-1].message == "daily quota: there is something left again"
    gate.look(USED_UP)
    assert len(caplog.records) == 3


def test_a_day_too_short_for_the_next_mail_is_not_called_used_up(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    watch(quota=200.0, quota_left=7.0).look(USED_UP)
    assert caplog.messages == [
        "daily quota: 7 of 200 recipients are left, fewer than the next mail has: mails wait in the queue"
    ]
