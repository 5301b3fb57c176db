"""Four worker processes share one send rate, against an SES that takes 14 recipients a second and no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import KEY_ID, SECRET, TOKEN, running, worker_environment
from support.waiting import wait_for

RATE = 14.0
SECONDS = float(os.environ.get("RQ_SES_RATE_SECONDS", "10"))
"""How long it is watched; RQ_SES_RATE_SECONDS=60 pytest tests/acceptance/account/test_rate.py -rP"""

TRIES = 3
"""Who is late on a machine that is busy with other things is not so each time."""


def test_the_daily_quota_is_kept_to_and_what_is_over_it_waits(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(30)])
    with SimulatorServer(KEY_ID, SECRET, TOKEN, quota=20) as ses:
        env = worker_environment(redis_url, ses.url)
        with running(["worker", "--burst"], env, tmp_path / "log") as worker:
            wait_for(lambda: not worker.running)
        assert [request.status for request in ses.attempts] == [200] * 20
    assert "daily quota used up (20 in 24 hours): mails wait in the queue" in worker.output
    assert redis.llen(KEYS.queue("mail")) == 10


@pytest.fixture
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(KEY_ID, SECRET, TOKEN, rate=RATE) as running_:
        yield running_


@dataclass
class Watched:
    """What came in so many seconds from a mail on."""

    used: float
    """Of the rate."""
    refused: int
    attempts: int

    @property
    def good(self) -> bool:
        return self.used >= 0.97 and self.refused < 0.005 * self.attempts


def watched(ses: SimulatorServer, begun: float) -> Watched:
    wait_for(lambda: ses.mails[-1].monotonic > begun + SECONDS, within=SECONDS + 30)
    attempts = [request for request in ses.attempts if begun <= request.monotonic < begun + SECONDS]
    sent = sum(len(request.recipients) for request in attempts if request.status == 200)
    refused = sum(request.status == 429 for request in attempts)
    return Watched(sent / (RATE * SECONDS), refused, len(attempts))


@pytest.mark.timeout(TRIES * SECONDS + 60)
@pytest.mark.parametrize("recipients", [1, 10])
def test_four_processes_use_the_whole_rate_and_are_not_refused(
    recipients: int, redis_url: str, ses: SimulatorServer, tmp_path: Path
) -> None:
    wanted = int(TRIES * RATE * SECONDS * 1.3 / recipients) + 8
    addresses = [f"user{n}@example.com" for n in range(recipients)]
    Outbox(redis_url).send_many(
        [mail(addresses[0], cc=addresses[1:], subject=f"№ {n}") for n in range(wanted)]
    )
    env = worker_environment(redis_url, ses.url)
    found: list[Watched] = []
    with running(["worker", "--processes", "4"], env, tmp_path / "log") as worker:
        begun = wait_for(lambda: ses.mails)[0].monotonic
        while not found or not (found[-1].good or len(found) == TRIES):
            found.append(watched(ses, begun))
            begun = next(one.monotonic for one in ses.mails if one.monotonic > begun + SECONDS)
        worker.stop()
    print(f"{recipients} recipients a mail: {found}")  # noqa: T201
    assert found[-1].good
