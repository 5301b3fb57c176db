"""What SES may have accepted follows on_unknown; what it certainly hasn't is never held."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.mail import fetch, status
from support.programs.fleet import Fleet
from support.waiting import wait_for

TIMEOUT = 3
"""Seconds: so long no answer takes on a machine that is busy, but for those of SLOW."""

SLOW = "slow-9"
DOUBTFUL = [SLOW, "drop", "reset", "500", "502", "504", "html502"]
REFUSED = ["503", "429", "throttle"]


def attempts(redis: Redis, job_id: str) -> int:
    return int(json.loads(redis.hget(f"rq:job:{job_id}", "meta") or b"{}").get("attempts", 0))


def test_mails_in_doubt_are_held_and_none_goes_twice(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("holding", "--on-unknown", "hold", "--timeout", str(TIMEOUT), "--rate-limited-delay", "1")
    doubtful = {story: accounting.enqueue(outbox, 10, story) for story in DOUBTFUL}
    accounting.enqueue(outbox, 10, "503")
    accounting.enqueue(outbox, 10, "429")
    wait_for(accounting.ended)
    books = accounting.check()
    assert books.doubled == set()
    assert books.having("failed") == {job_id for jobs in doubtful.values() for job_id in jobs}
    for story, jobs in doubtful.items():
        taken = story in (SLOW, "drop")
        for job_id in jobs:
            assert books.reasons[job_id].startswith("outcome unknown: ")
            assert len(books.accepted[job_id]) == taken
            assert fetch(redis, job_id).get_meta()["attempts"] == 1


def test_mails_in_doubt_are_sent_again_after_a_second_if_so_told(
    redis: Redis, ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("resending", "--on-unknown", "resend", "--timeout", str(TIMEOUT))
    doubtful = {story: accounting.enqueue(outbox, 10, story) for story in DOUBTFUL}
    waiting: dict[str, float] = {}

    def ended() -> bool:
        """Tell whether all have; note when each that is answered late was seen last in its first attempt."""
        now = time.time()
        for job_id in doubtful[SLOW]:
            if status(redis, job_id) == "started" and not attempts(redis, job_id):
                waiting[job_id] = now
        return accounting.ended()

    wait_for(ended, every=0.01)
    books = accounting.check()
    assert books.having("failed") == set()
    assert books.doubled == set(doubtful[SLOW] + doubtful["drop"])
    for job_id, address in accounting.addresses.items():
        first, second = [request for request in ses.requests if request.recipients == (address,)]
        if job_id in doubtful[SLOW]:
            # Its worker alone knows when it gave up: some time after it was seen to wait.
            assert second.at - waiting[job_id] >= 0.99
        else:
            assert second.at - first.answered_at >= 0.99


@contextmanager
def refusing() -> Iterator[str]:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def unknown_host() -> Iterator[str]:
    yield "https://ses.invalid"


@contextmanager
def silent() -> Iterator[str]:
    """A port whose queue of connections is full: connecting to it takes for ever."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@pytest.mark.parametrize("nowhere", [refusing, unknown_host, silent])
def test_what_was_certainly_not_sent_is_tried_again_and_never_held(
    nowhere: object, redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    hold = ("--on-unknown", "hold", "--timeout", "1", "--transient-delay", "0.1")
    jobs = accounting.enqueue(outbox, 8, "none")
    with nowhere() as url:  # type: ignore[operator]
        lost = workers.started("lost", *hold, "--base-url", url)
        wait_for(lambda: all(attempts(redis, job_id) >= 2 for job_id in jobs))
        lost.stop()
    accounting.check()
    workers.start("found", "--on-unknown", "hold")
    wait_for(accounting.ended)
    books = accounting.check()
    assert books.having("failed") == books.doubled == set()


def test_refusals_are_no_doubt(
    ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("holding", "--on-unknown", "hold", "--rate-limited-delay", "1")
    for story in REFUSED:
        accounting.enqueue(outbox, 5, story)
    wait_for(accounting.ended)
    books = accounting.check()
    assert books.having("failed") == books.doubled == set()
    for address in accounting.addresses.values():
        requests = [request for request in ses.requests if request.recipients == (address,)]
        for earlier, later in pairwise(requests):
            assert later.at - earlier.answered_at >= 1.0
