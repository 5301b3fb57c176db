"""What a campaign does to an urgent mail, and urgent mails to a campaign."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis
from rq.utils import utcformat

from rq_ses import Outbox, Receipt, Submission
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import Process, running
from support.waiting import wait_for

CONCURRENCY = 8
QUEUES = ("mail-high", "mail", "mail-bulk")
RATE = 60.0
"""Mails a second: what reaches SES between two lines of a test is then a mail or two."""


def sent(ses: SimulatorServer) -> list[str]:
    return [found.recipients[0] for found in ses.mails]


def started(redis: Redis, receipts: list[Receipt]) -> list[str]:
    """Return when each job was last claimed, in RQ's form of a date; "" is never."""
    with redis.pipeline(transaction=False) as pipeline:
        for receipt in receipts:
            pipeline.hget(f"{KEYS.job_prefix}{receipt.job_id}", "started_at")
        return [(moment or b"").decode() for moment in pipeline.execute()]


def stop(worker: Process) -> None:
    """Stop a process where it stands, all of its threads."""
    worker.kill(signal.SIGSTOP)
    threads = Path(f"/proc/{worker.pid}/task").glob("*/stat")
    for thread in threads:
        wait_for(lambda thread=thread: thread.read_text().rpartition(")")[2].split()[0] == "T")


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
    campaign = outbox.send_many(
        Submission(mail(f"bulk{n}@example.com"), priority="bulk") for n in range(5000)
    )
    env = {**worker_env, "RQ_SES_CONCURRENCY": str(CONCURRENCY)}
    if rate:
        env["RQ_SES_MAX_SEND_RATE"] = str(rate)
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(lambda: len(ses.mails) > 20)
        for number in range(5):
            # While it stands still, what it has in its hands is what it had when the urgent mail came.
            stop(worker)
            stopped = utcformat(datetime.now(UTC))
            held = sum(redis.zcard(KEYS.leases(queue)) for queue in QUEUES)
            before = len(ses.mails)
            urgent = outbox.send(mail(f"urgent{number}@example.com"), priority="high")
            worker.kill(signal.SIGCONT)
            # One more than what was held and the urgent one: the campaign goes on.
            wait_for(lambda before=before, held=held: len(ses.mails) >= before + held + 2)
            assert held <= 1.25 * CONCURRENCY
            wait_for(lambda number=number: f"urgent{number}@example.com" in sent(ses))
            [claimed] = started(redis, [urgent])
            assert claimed
            assert not [moment for moment in started(redis, campaign) if stopped < moment < claimed]


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
