"""kill -9 of workers: at random moments, and at each named point of the lifecycle."""

from __future__ import annotations

import random
import signal
import threading
import time

import pytest
from redis import Redis
from rq import Worker

from rq_ses import Outbox
from support.mails.accounting import Accounting, Books
from support.mails.mail import status
from support.programs.fleet import LEASE, Fleet
from support.waiting import wait_for

CONCURRENCY = 8
SECOND_SENDS = 1.25 * CONCURRENCY
"""What a worker may have had in flight and unsettled when it was killed."""

RESUMED = LEASE * 1.34 + 1.0 + 5.0
"""Seconds after a kill in which its mails move on: 5 with a lease of 3, and room for a busy machine."""

POINTS = ["after-claim", "after-answer", "before-settle", "during-settle", "after-settle"]


def wait_until_moved_on(redis: Redis, held: set[str], worker: str) -> None:
    """Wait until nobody holds these mails in the name of a dead worker."""

    def moved() -> bool:
        return not any(
            status(redis, job_id) == "started"
            and (redis.hget(f"rq:job:{job_id}", "worker_name") or b"").decode() == worker
            for job_id in held
        )

    began = time.monotonic()
    wait_for(moved, within=RESUMED, what=f"the mails of {worker} move on")
    print(f"moved on {time.monotonic() - began:.1f} s after the kill of {worker}")  # noqa: T201


def assert_second_sends_are_of(books: Books, held: set[str]) -> None:
    assert books.doubled <= held
    assert books.second_sends <= SECOND_SENDS


@pytest.mark.parametrize("point", POINTS)
def test_no_mail_is_lost_when_one_worker_of_two_is_killed_at_a_named_point(
    point: str,
    redis: Redis,
    outbox: Outbox,
    accounting: Accounting,
    workers: Fleet,
    chance: random.Random,
) -> None:
    workers.started("victim", dies=(point, chance.randint(2, 6)))
    workers.started("survivor")
    accounting.enqueue(outbox, 240)
    accounting.enqueue(outbox, 60, "503")
    workers.died("victim")
    held = accounting.held_by("victim")
    assert len(held) <= SECOND_SENDS
    wait_until_moved_on(redis, held, "victim")
    wait_for(accounting.ended, within=30 + LEASE)
    books = accounting.check()
    assert books.having("failed") == set()
    assert_second_sends_are_of(books, held)


@pytest.mark.parametrize("point", ["after-claim", "after-answer", "before-settle"])
def test_nothing_is_sent_twice_with_hold_and_what_is_in_doubt_stands_as_failed(
    point: str, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    workers.started("victim", "--on-unknown", "hold", dies=(point, chance.randint(2, 6)))
    workers.started("survivor", "--on-unknown", "hold")
    accounting.enqueue(outbox, 160)
    accounting.enqueue(outbox, 40, "503")
    workers.died("victim")
    held = accounting.held_by("victim")
    wait_for(accounting.ended, within=30 + LEASE)
    books = accounting.check()
    assert books.doubled == set()
    assert books.having("failed") == held
    for job_id in held:
        assert books.reasons[job_id].startswith("outcome unknown: WorkerLost: worker victim was lost")


def test_no_mail_is_lost_when_a_worker_is_killed_while_it_promotes(
    outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.start("victim", dies=("during-promote", 2))
    accounting.enqueue(outbox, 100, "503")
    accounting.enqueue(outbox, 100, "503+slow-0.1")
    workers.died("victim")
    held = accounting.held_by("victim")
    workers.start("heir")
    wait_for(accounting.ended, within=30 + LEASE)
    books = accounting.check()
    assert books.having("failed") == set()
    assert_second_sends_are_of(books, held)


@pytest.mark.parametrize("point", ["during-reclaim", "after-reclaim"])
def test_no_mail_is_lost_when_a_worker_is_killed_while_it_takes_over_from_a_dead_one(
    point: str, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    accounting.enqueue(outbox, 100)
    first = workers.start("first", dies=("after-answer", 20))
    workers.died("first")
    held = accounting.held_by("first")
    assert held
    assert not first.running
    workers.start("second", dies=(point, 1))
    workers.died("second")
    held_next = accounting.held_by("second")
    workers.start("third")
    wait_for(accounting.ended, within=30 + LEASE)
    books = accounting.check()
    assert books.having("failed") == set()
    assert books.doubled <= held | held_next
    assert books.second_sends <= 2 * SECOND_SENDS


def test_no_mail_is_lost_when_workers_are_killed_at_random_moments_under_load(
    outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    kills, held = 0, set[str]()
    producer = threading.Thread(
        target=lambda: [accounting.enqueue(outbox, 10, chance.choice(STORIES)) for _ in range(50)]
    )
    crew = {name: workers.started(name) for name in ("a-0", "b-0")}
    producer.start()
    while kills < 6:
        time.sleep(chance.uniform(0.1, 0.8))
        name = chance.choice(sorted(crew))
        crew.pop(name).stop(signal.SIGKILL)
        kills += 1
        held |= accounting.held_by(name)
        successor = f"{name.partition('-')[0]}-{kills}"
        crew[successor] = workers.start(successor)
    producer.join()
    wait_for(accounting.ended, within=45 + LEASE)
    books = accounting.check()
    assert len(books.statuses) == 500
    assert books.having("failed") == set()
    assert books.doubled <= held
    assert books.second_sends <= kills * SECOND_SENDS


STORIES = ["slow-0.02", "slow-0.2", "503", "none"]


def test_no_mail_is_lost_when_all_workers_are_killed_at_once(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    crew = {name: workers.started(name) for name in ("a", "b", "c")}
    accounting.enqueue(outbox, 500)
    wait_for(lambda: redis.zcard("rq:finished:mail") > chance.randint(20, 150))
    for process in crew.values():
        process.kill(signal.SIGKILL)
    for process in crew.values():
        process.stop(signal.SIGKILL)
    held = {name: accounting.held_by(name) for name in crew}
    accounting.check()
    workers.start("heir")
    wait_until_moved_on(redis, held["a"], "a")
    wait_for(accounting.ended, within=45 + LEASE)
    books = accounting.check()
    assert books.having("failed") == set()
    assert books.doubled <= set().union(*held.values())
    assert books.second_sends <= len(crew) * SECOND_SENDS


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_mails_held_ready_by_a_worker_that_is_killed_are_neither_lost_nor_beyond_its_bound(
    on_unknown: str, redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    accounting.enqueue(outbox, 800)
    victim = workers.start("victim", "--on-unknown", on_unknown)

    def holds_some_ready() -> bool:
        """Tell whether it holds more than one a thread, one of them unsent; if so, it stands still."""
        if redis.zcard("rq:ses:leases:mail") <= CONCURRENCY:
            return False
        victim.kill(signal.SIGSTOP)
        books = accounting.read()
        started = books.having("started")
        if len(started) > CONCURRENCY and not all(books.accepted[job_id] for job_id in started):
            return True
        victim.kill(signal.SIGCONT)
        return False

    wait_for(holds_some_ready, every=0.005)
    victim.stop(signal.SIGKILL)
    held = accounting.held_by("victim")
    assert CONCURRENCY < len(held) <= SECOND_SENDS
    workers.start("heir", "--on-unknown", on_unknown, "--concurrency", "32")
    wait_for(accounting.ended, within=30 + LEASE)
    books = accounting.check()
    if on_unknown == "hold":
        assert books.doubled == set()
        assert books.having("failed") == held
    else:
        assert books.having("failed") == set()
        assert_second_sends_are_of(books, held)


def test_a_killed_worker_can_be_started_anew_under_its_name(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("w").stop(signal.SIGKILL)
    again = workers.started("w")
    accounting.enqueue(outbox, 20, "503")
    wait_for(accounting.ended)
    names = [worker.name for worker in Worker.all(connection=redis)]
    assert len(names) == 2
    [name] = [name for name in names if name != "w"]
    assert name.startswith("w.")
    wait_for(lambda: redis.hget(f"rq:worker:{name}", "successful_job_count") == b"20")
    assert again.stop() == 0
    assert accounting.check().doubled == set()
