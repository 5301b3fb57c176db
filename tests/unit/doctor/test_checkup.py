"""All checks together: one that fails or hangs leaves the others standing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rq_ses_worker.doctor import checkup
from rq_ses_worker.doctor.checkup import Wishes, examine
from rq_ses_worker.doctor.finding import Finding, ok
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.outcome import RateLimited
from rq_ses_worker.settings.worker import WorkerSettings
from support.findings import LASTING, SECRET, severities


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", LASTING)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return WorkerSettings()


def test_a_check_that_breaks_off_leaves_the_others_and_what_it_had_found(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings
) -> None:
    def broken(*_: Any) -> Iterator[Finding]:
        yield ok("redis.version", "fine")
        raise RuntimeError(SECRET)

    monkeypatch.setattr(checkup, "_redis", broken)
    monkeypatch.setattr(checkup, "_endpoint", lambda *_: iter([ok("endpoint.tls", "fine")]))
    monkeypatch.setattr(checkup, "_ses", lambda *_: iter([ok("ses.signature", "fine")]))
    found = examine(settings, Wishes())
    assert [finding.id for finding in found] == [
        "redis.version",
        "redis.failed",
        "endpoint.tls",
        "ses.signature",
    ]
    assert "RuntimeError" in found[1].text
    assert SECRET not in repr(found)


def test_a_check_that_hangs_is_left_out_in_time(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings
) -> None:
    release = threading.Event()

    def hanging(*_: Any) -> Iterator[Finding]:
        yield ok("redis.version", "fine")
        release.wait(30)

    monkeypatch.setattr(checkup, "_redis", hanging)
    monkeypatch.setattr(checkup, "_endpoint", lambda *_: iter([ok("endpoint.tls", "fine")]))
    monkeypatch.setattr(checkup, "_ses", lambda *_: iter([]))
    told: list[str] = []
    found = examine(settings, Wishes(), within=0.2, tell=told.append)
    release.set()
    assert severities(found) == {"redis.version": "ok", "redis.late": "error", "endpoint.tls": "ok"}
    assert "redis" in told[0]


def test_ses_is_asked_once_more_after_a_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_PAUSE", 0.0)
    answers = itertools.chain([RateLimited(429)], itertools.repeat(None))

    def ask() -> str:
        if outcome := next(answers):
            raise AccountRefused(outcome)
        return "told"

    assert checkup._asked(ask) == "told"
