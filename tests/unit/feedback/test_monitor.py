"""The metrics of `rq-ses feedback`, and their documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses_worker.feedback.counts import WORDS, Counts
from rq_ses_worker.feedback.monitor import FeedbackMonitor
from rq_ses_worker.monitoring.listening import Listening

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


class Health:
    away = False

    def check(self) -> None:
        if self.away:
            raise ConnectionLost


def test_what_is_served_is_what_the_page_lists() -> None:
    counts, health = Counts(), Health()
    monitor = FeedbackMonitor(Listening("127.0.0.1", 0), counts, health)  # type: ignore[arg-type]
    try:
        for word in WORDS:
            counts.count(word)
        text = monitor._metrics()[2].decode()
        section: Any = re.search(r"^## Feedback\n(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        listed = set(re.findall(r"^\| `([a-z_]+)`", section[1], re.MULTILINE))
        assert set(re.findall(r"^(rq_ses_[a-z_]+)", text, re.MULTILINE)) == listed
        assert set(re.findall(r'result="(\w+)"} 1.0', text)) == set(WORDS)
        assert set(WORDS) <= set(re.findall(r"`(\w+)`", section[1]))
        assert monitor._readyz()[0] == 200
        counts.away = True
        assert monitor._readyz()[::2] == (503, b"the queue can't be read\n")
        health.away = True
        assert monitor._readyz()[2] == b"Redis does not answer\nthe queue can't be read\n"
        assert "rq_ses_redis_up 0.0" in monitor._metrics()[2].decode()
    finally:
        monitor.detach()
