"""What the ingress shows to monitoring."""

from __future__ import annotations

import re
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from rq_ses_worker.monitoring.vitals import STALE
from rq_ses_worker.smtp.counts import Counts
from rq_ses_worker.smtp.metrics import render
from rq_ses_worker.smtp.monitor import why_not_ready, why_unhealthy
from rq_ses_worker.smtp.replies import REASONS

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def samples(counts: Counts) -> dict[tuple[str, str], float]:
    found = text_string_to_metric_families(render(counts, redis_up=True).decode())
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in found
        for sample in family.samples
    }


def test_what_was_counted_is_shown() -> None:
    counts = Counts(taken=5, repeated=2, recipients=9, logins=3, connections=4)
    counts.refused["relay"] = 7
    for seconds in (0.002, 0.02, 20.0):
        counts.observe(seconds)
    shown = samples(counts)
    assert shown[("rq_ses_smtp_mails_total", "new")] == 3
    assert shown[("rq_ses_smtp_mails_total", "repeated")] == 2
    assert shown[("rq_ses_smtp_recipients_total", "")] == 9
    assert shown[("rq_ses_smtp_refusals_total", "relay")] == 7
    assert shown[("rq_ses_smtp_refusals_total", "sender")] == 0
    assert shown[("rq_ses_smtp_logins_total", "")] == 3
    assert shown[("rq_ses_smtp_connections", "")] == 4
    assert shown[("rq_ses_smtp_enqueue_seconds_bucket", "0.0025")] == 1
    assert shown[("rq_ses_smtp_enqueue_seconds_bucket", "5")] == 2
    assert shown[("rq_ses_smtp_enqueue_seconds_count", "")] == 3
    assert shown[("rq_ses_redis_up", "")] == 1


def test_every_metric_is_documented_as_it_is() -> None:
    section = PAGE.read_text().partition("## The SMTP ingress")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(rq_ses_smtp_\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    listed = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    shown = {}
    for family in text_string_to_metric_families(render(Counts(), redis_up=False).decode()):
        if family.name.startswith("rq_ses_smtp_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            name = f"{family.name}_total" if family.type == "counter" else family.name
            shown[name] = (family.type, tuple(labels))
    assert listed == shown
    assert [reason for reason in REASONS if f"`{reason}`" not in section] == []


def test_it_is_ready_when_redis_answers_and_healthy_while_its_loop_goes_round() -> None:
    counts, now = Counts(), time.monotonic()
    assert why_not_ready(counts, now, redis_answers=False) == [
        "Redis has not been reached yet, or not been found fit (preflight)",
        "Redis does not answer",
    ]
    counts.ready = True
    assert why_not_ready(counts, now, redis_answers=True) == []
    counts.stopping = True
    assert why_not_ready(counts, now, redis_answers=True) == ["stopping"]
    assert why_unhealthy(counts, now) == []
    assert "has not gone round" in why_unhealthy(counts, now + STALE + 1)[0]
