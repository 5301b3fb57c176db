"""How the doctor judges the account's gate: breaker, rate, quota."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakeredis import FakeRedis

from rq_ses.gate import read_gate
from rq_ses_worker.doctor.gate import judged_gate

# The gate

CLOSED = replace(
    read_gate(FakeRedis(), "default", "us-east-1"), now=100.0, rate=14.0, max_send_rate=14.0, rate_in_use=3.0
)


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({}, "ok", "closed: no worker has gone by it yet"),
        ({"claimed": 1}, "ok", "closed: mails go out"),
        ({"breaker": "open", "since": 40.0, "next_probe": 105.0}, "error", "for 60 s"),
        ({"breaker": "open", "since": 40.0, "next_probe": 105.0}, "error", "next probe is due in 5 s"),
        ({"breaker": "open", "reason": "SendingPausedException: …"}, "error", "SendingPausedException"),
        ({"breaker": "half-open", "probe": "job-1"}, "error", "job-1"),
        ({"breaker": "open", "manual": True, "reason": "maintenance"}, "error", "by hand"),
    ],
)
def test_an_open_breaker_is_an_error_that_says_why(
    changes: dict[str, Any], severity: str, words: str
) -> None:
    breaker, _ = judged_gate(replace(CLOSED, **changes))
    assert breaker.severity == severity
    assert words in breaker.text


@pytest.mark.parametrize(
    ("changes", "severity"),
    [({}, "ok"), ({"rate": 7.0}, "info"), ({"rate": None, "max_send_rate": None}, "ok")],
)
def test_a_lowered_rate_is_told(changes: dict[str, Any], severity: str) -> None:
    _, rate = judged_gate(replace(CLOSED, **changes))
    assert rate.severity == severity


@pytest.mark.parametrize(
    ("changes", "severity", "remedy"),
    [
        ({"quota_left": 50.0}, "ok", ""),
        ({"quota_left": 3.0}, "warning", "Service Quotas"),
        ({"quota_left": 0.0}, "error", "Service Quotas"),
        ({"quota_left": 0.0, "refused": 90.0}, "error", "ses:GetAccount"),
    ],
)
def test_a_gate_that_is_shut_by_the_days_quota_is_an_error(
    changes: dict[str, Any], severity: str, remedy: str
) -> None:
    *_, day = judged_gate(replace(CLOSED, quota=200.0, **changes))
    assert (day.id, day.severity) == ("gate.quota", severity)
    assert "of 200 recipients" in day.text
    assert remedy in day.remedy
