"""Tracing without an SDK, or without the API: what is said of it, and what a job's options may hold."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses import Outbox
from rq_ses.errors import SettingsError
from rq_ses.settings.producer import load_producer_settings
from rq_ses.tracing.trace import Trace
from rq_ses_worker.engine.process.building import _tracing_of
from rq_ses_worker.settings.worker import load_worker_settings


def test_without_the_api_tracing_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rq_ses.tracing.spans.is_installed", lambda: False)
    with pytest.raises(ValueError, match=r"rq-ses\[otel\]"):
        Outbox("redis://127.0.0.1:1/0", tracing=True)
    monkeypatch.setenv("RQ_SES_TRACING", "1")
    with pytest.raises(SettingsError, match=r"RQ_SES_TRACING: .*rq-ses\[otel\]"):
        load_producer_settings()


def test_a_worker_whose_spans_nobody_takes_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert _tracing_of(load_worker_settings()) is None
    monkeypatch.setenv("RQ_SES_TRACING", "1")
    tracing = _tracing_of(load_worker_settings())
    assert tracing
    assert "opentelemetry-instrument" in caplog.text
    tracing.flush()


@pytest.mark.parametrize(
    ("options", "trace"),
    [
        ({"traceparent": "a", "tracestate": "b"}, Trace("a", "b")),
        ({"traceparent": "a"}, Trace("a")),
        ({"traceparent": "a", "tracestate": 1}, Trace("a")),
        ({"traceparent": "a", "tracestate": "b" * 600}, Trace("a")),
        ({"traceparent": 1}, None),
        ({"traceparent": "a" * 600}, None),
        ({"tracestate": "b"}, None),
    ],
)
def test_a_trace_is_taken_out_of_a_jobs_options(options: dict[str, Any], trace: Trace | None) -> None:
    left = {**options, "expires": 5.0}
    assert Trace.taken(left) == trace
    assert left == {"expires": 5.0}
