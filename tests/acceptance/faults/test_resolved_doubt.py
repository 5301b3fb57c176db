"""Doubt about mails that SES has, resolved by the tag that SES saw: no second copy goes out."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.keys import KEYS
from support.programs.fleet import Fleet
from support.receipts.doubtful import RESOLVE
from support.waiting import wait_for


@pytest.mark.parametrize(("policy", "state"), [("hold", "failed"), ("resend", "scheduled")])
def test_an_event_ends_the_doubt_about_every_mail_that_ses_has(
    redis: Redis,
    ses: SimulatorServer,
    outbox: Outbox,
    accounting: Accounting,
    workers: Fleet,
    policy: str,
    state: str,
) -> None:
    workers.started("one", "--on-unknown", policy, "--transient-delay", "60")
    jobs = accounting.enqueue(outbox, 5, "drop")
    wait_for(lambda: all(outbox.status(job_id).state == state for job_id in jobs))
    assert all(outbox.status(job_id).in_doubt for job_id in jobs)
    resolve, now = redis.register_script(RESOLVE), time.time()
    for mail in ses.mails:
        job_id = mail.parsed.tags["rq-ses-job"]
        args = [KEYS.root, job_id, mail.message_id, now, mail.at]
        assert resolve(keys=[KEYS.scratch], args=args) == b"sent"
        assert outbox.wait(job_id, 0).message_id == mail.message_id
    books = accounting.check()
    assert (len(ses.mails), books.doubled) == (5, set())
    assert (
        redis.zcard(KEYS.registry("scheduled", "mail")) == redis.zcard(KEYS.registry("failed", "mail")) == 0
    )
