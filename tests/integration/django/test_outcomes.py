"""The signal that tells a Django project what became of its mails, and the command that sends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from rq_ses.django.signals import outcome
from rq_ses.outcomes import Outcome
from rq_ses.outcomes.stream import OutcomeStream
from support.mails.keys import KEYS


@pytest.fixture
def heard() -> Iterator[list[Outcome]]:
    found: list[Outcome] = []

    def hear(outcome: Outcome, **_: Any) -> None:
        found.append(outcome)
        if outcome.job_id == "refused":
            raise ValueError("not now")

    outcome.connect(hear, weak=True)
    yield found
    outcome.disconnect(hear)


def write(redis: Redis, *jobs: str) -> None:
    for job in jobs:
        redis.xadd(KEYS.outcomes, {"outcome": Outcome(id=f"{job}:1", kind="sent", job_id=job).to_json()})


def test_receivers_hear_of_each_outcome_once(redis: Redis, heard: list[Outcome]) -> None:
    write(redis, "a", "b")
    call_command("rq_ses_outcomes", once=True)
    write(redis, "c")
    call_command("rq_ses_outcomes", once=True)
    assert [one.job_id for one in heard] == ["a", "b", "c"]


def test_what_a_receiver_raises_at_is_kept_and_holds_up_no_others(redis: Redis, heard: list[Outcome]) -> None:
    write(redis, "refused", "b")
    call_command("rq_ses_outcomes", once=True)
    assert [one.job_id for one in heard] == ["refused", "b"]
    [left] = OutcomeStream(redis, "django").take_abandoned(10)
    assert left.outcomes == (heard[0],)


def test_a_command_without_redis_says_so() -> None:
    with pytest.raises(CommandError, match="Redis: "):
        call_command("rq_ses_outcomes", once=True, redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(CommandError, match="RQ_SES_REDIS_URL"):
        call_command("rq_ses_outcomes", redis_url="nonsense")
