"""What a campaign does to an urgent mail, and urgent mails to a campaign."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox, Submission
from rq_ses_worker.simulator.server import SimulatorServer
from support.mail import mail
from support.processes import running
from support.waiting import wait_for

CONCURRENCY = 8
RATE = 60.0
"""Mails a second: what reaches SES between two lines of a test is then a mail or two."""


def sent(ses: SimulatorServer) -> list[str]:
    return [found.recipients[0] for found in ses.mails]


@pytest.mark.parametrize("rate", [RATE, 0], ids=["at a send rate", "as fast as it goes"])
def test_a_campaign_delays_an_urgent_mail_by_what_is_in_flight(
    redis: Redis,
    redis_url: str,
    ses: SimulatorServer,
    worker_env: dict[str, str],
    tmp_path: Path,
    rate: float,
) -> None:
    outbox = Outbox(redis_url)
    outbox.send_many(Submission(mail(f"bulk{n}@example.com"), priority="bulk") for n in range(5000))
    env = {**worker_env, "RQ_SES_CONCURRENCY": str(CONCURRENCY)}
    if rate:
        env["RQ_SES_MAX_SEND_RATE"] = str(rate)
    with running(["worker"], env, tmp_path / "log"):
        wait_for(lambda: len(ses.mails) > 20)
        for number in range(5):
            urgent = f"urgent{number}@example.com"
            outbox.send(mail(urgent), priority="high")
            before = len(ses.mails)
            wait_for(lambda urgent=urgent: urgent in sent(ses))
            assert sent(ses).index(urgent) - before <= 1.25 * CONCURRENCY


def test_urgent_mails_without_end_do_not_starve_the_others(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(redis_url)
    for priority in ("high", "normal", "bulk"):
        mails = [mail(f"{priority}{n}@example.com") for n in range(500)]
        outbox.send_many(Submission(message, priority=priority) for message in mails)
    with running(["worker"], {**worker_env, "RQ_SES_CONCURRENCY": str(CONCURRENCY)}, tmp_path / "log"):
        wait_for(lambda: len(ses.mails) >= 400)
    first = sent(ses)[:320]
    counts = {
        priority: sum(to.startswith(priority) for to in first) for priority in ("high", "normal", "bulk")
    }
    assert counts["high"] > 240
    assert counts["normal"] >= 10
    assert counts["bulk"] >= 10
