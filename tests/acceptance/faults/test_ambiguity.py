"""What SES may have accepted follows on_unknown; what it certainly hasn't is never held."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.mail import fetch
from support.programs.fleet import Fleet
from support.waiting import wait_for

DOUBTFUL = ["slow-3", "drop", "reset", "500", "502", "504", "html502"]
REFUSED = ["503", "429", "throttle"]


def test_mails_in_doubt_are_held_and_none_goes_twice(
    redis: Redis, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("holding", "--on-unknown", "hold", "--timeout", "1", "--rate-limited-delay", "1")
    doubtful = {story: accounting.enqueue(outbox, 10, story) for story in DOUBTFUL}
    accounting.enqueue(outbox, 10, "503")
    accounting.enqueue(outbox, 10, "429")
    wait_for(accounting.ended, within=30)
    books = accounting.check()
    assert books.doubled == set()
    assert books.having("failed") == {job_id for jobs in doubtful.values() for job_id in jobs}
    for story, jobs in doubtful.items():
        taken = story in ("slow-3", "drop")
        for job_id in jobs:
            assert books.reasons[job_id].startswith("outcome unknown: ")
            assert len(books.accepted[job_id]) == taken
            assert fetch(redis, job_id).get_meta()["attempts"] == 1


def test_mails_in_doubt_are_sent_again_after_a_second_if_so_told(
    ses: SimulatorServer, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("resending", "--on-unknown", "resend", "--timeout", "1")
    doubtful = {story: accounting.enqueue(outbox, 10, story) for story in DOUBTFUL}
    wait_for(accounting.ended, within=30)
    books = accounting.check()
    assert books.having("failed") == set()
    assert books.doubled == set(doubtful["slow-3"] + doubtful["drop"])
    for job_id, address in accounting.addresses.items():
        first, second = [request for request in ses.requests if request.recipients == (address,)]
        # A time-out is noticed by the worker, when its second is over.
        ended = first.at + 1 if job_id in doubtful["slow-3"] else first.answered_at
        assert second.at - ended >= 0.99


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

    def attempts(job_id: str) -> int:
        return int(json.loads(redis.hget(f"rq:job:{job_id}", "meta") or b"{}").get("attempts", 0))

    with nowhere() as url:  # type: ignore[operator]
        lost = workers.started("lost", *hold, "--base-url", url)
        wait_for(lambda: all(attempts(job_id) >= 2 for job_id in jobs), within=20)
        lost.stop()
    accounting.check()
    workers.start("found", *hold)
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
