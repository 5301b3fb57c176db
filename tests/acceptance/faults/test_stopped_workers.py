"""Workers that are told to stop, and workers that stop unasked and come back."""

from __future__ import annotations

import signal
import time

import pytest
from redis import Redis
from rq.suspension import resume, suspend

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.programs.fleet import LEASE, Fleet
from support.servers.durable import DurableValkey
from support.waiting import wait_for

TIMEOUT = 5.0
"""Seconds an exchange with SES may take."""


def assert_nothing_is_started(redis: Redis) -> None:
    assert redis.zcard("rq:wip:mail") == 0
    assert redis.zcard("rq:ses:leases:mail") == 0
    assert redis.keys("rq:execution*") == []


def test_sigterm_under_load_leaves_nothing_started_and_sends_nothing_twice(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    crew = [workers.started(name, "--concurrency", "32") for name in ("a", "b")]
    accounting.enqueue(outbox, 100, "503+slow-0.3")
    accounting.enqueue(outbox, 500, "slow-0.3")
    wait_for(lambda: len(ses.mails) > 150)
    began = time.monotonic()
    for process in crew:
        process.kill(signal.SIGTERM)
    wait_for(lambda: not any(process.running for process in crew), within=TIMEOUT)
    print(f"stopped {time.monotonic() - began:.2f} s after SIGTERM")  # noqa: T201
    assert [process.stop() for process in crew] == [0, 0]
    assert_nothing_is_started(redis)
    books = accounting.check()
    assert books.doubled == set()
    assert books.having("finished", "queued", "scheduled") == set(accounting.addresses)
    assert {job_id for job_id, ids in books.accepted.items() if ids} == books.having("finished")
    workers.start("heir", "--concurrency", "32")
    wait_for(accounting.ended)
    assert accounting.check().doubled == set()


def test_sigterm_while_valkey_is_away_still_settles_what_was_being_sent(
    server: DurableValkey,
    redis: Redis,
    ses: SimulatorServer,
    outbox: Outbox,
    accounting: Accounting,
    workers: Fleet,
) -> None:
    worker = workers.started("a")
    accounting.enqueue(outbox, 100, "slow-0.5")
    wait_for(lambda: len(ses.mails) > 20)
    server.kill()
    worker.kill(signal.SIGTERM)
    wait_for(lambda: "stopping:" in worker.output)
    wait_for(lambda: "outcomes wait to be settled" in worker.output)
    server.start()
    wait_for(lambda: not worker.running)
    assert worker.stop() == 0
    assert_nothing_is_started(redis)
    books = accounting.check()
    assert books.doubled == set()
    assert {job_id for job_id, ids in books.accepted.items() if ids} == books.having("finished")


def test_a_worker_that_was_stopped_longer_than_its_lease_settles_nothing_that_another_took(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    stopped = workers.started("stopped")
    accounting.enqueue(outbox, 8, "slow-0.5x1+slow-0.1x1")
    wait_for(lambda: len(ses.mails) == 8)
    stopped.kill(signal.SIGSTOP)
    workers.started("other")
    wait_for(accounting.ended)
    before = accounting.check()
    assert all(len(ids) == 2 for ids in before.accepted.values())
    stopped.kill(signal.SIGCONT)
    wait_for(lambda: stopped.output.count("nothing was written") == 8)
    after = accounting.check()
    assert after.receipts == before.receipts
    assert all(after.receipts[job_id] == ids[1] for job_id, ids in after.accepted.items())
    assert len(ses.mails) == 16


def test_a_late_sent_is_not_sent_again_if_nobody_has_started_it(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    # However slow the machine is, the answer is still in time when the worker continues.
    stopped = workers.started("stopped", "--timeout", "60")
    jobs = accounting.enqueue(outbox, 8, "slow-1x9")
    wait_for(lambda: len(ses.mails) == 8)
    stopped.kill(signal.SIGSTOP)
    # Suspended workers claim nothing, but they still look after leases.
    suspend(redis)
    workers.started("other")
    wait_for(lambda: accounting.read().having("queued") == set(jobs))
    accounting.check()
    stopped.kill(signal.SIGCONT)
    wait_for(accounting.ended)
    wait_for(lambda: stopped.output.count("it is not sent again") == 8)
    resume(redis)
    accounting.enqueue(outbox, 8, "none")
    wait_for(accounting.ended)
    assert accounting.check().doubled == set()


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_a_worker_that_was_stopped_does_not_send_what_it_had_not_begun(
    on_unknown: str,
    ses: SimulatorServer,
    outbox: Outbox,
    accounting: Accounting,
    workers: Fleet,
) -> None:
    options = ("--on-unknown", on_unknown)
    stopped = workers.started("stopped", *options, dies=("stops-after-claim", 1))
    accounting.enqueue(outbox, 8, "none")
    wait_for(lambda: accounting.read().having("started"))
    claimed = accounting.held_by("stopped")
    workers.started("other", *options)
    wait_for(accounting.ended)
    stopped.kill(signal.SIGCONT)
    wait_for(lambda: stopped.output.count("before it was sent") == len(claimed))
    books = accounting.check()
    assert books.doubled == set()
    # The other can't know that they were never begun.
    assert books.having("failed") == (claimed if on_unknown == "hold" else set())


def test_what_was_claimed_and_not_begun_is_sent_after_all_if_nobody_took_it(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    stopped = workers.started("stopped", "--on-unknown", "hold", dies=("stops-after-claim", 1))
    accounting.enqueue(outbox, 8, "none")
    wait_for(lambda: accounting.read().having("started"))
    time.sleep(LEASE + 0.2)
    stopped.kill(signal.SIGCONT)
    wait_for(accounting.ended)
    books = accounting.check()
    assert books.doubled == set()
    assert books.having("failed") == set()
