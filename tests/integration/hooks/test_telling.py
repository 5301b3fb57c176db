"""The threads of a worker that tell hooks: none is in the way of another, and what isn't told stays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis

from rq_ses.keys import Keys
from rq_ses.outcomes import Outcome
from rq_ses.outcomes.stream import OutcomeStream
from rq_ses_worker.hooks.callables import Callables
from rq_ses_worker.hooks.telling import Hook, Telling
from rq_ses_worker.server.connection import connect
from support.mails.keys import KEYS
from support.waiting import wait_for


def write(redis: Redis, *jobs: str) -> None:
    for job in jobs:
        redis.xadd(KEYS.outcomes, {"outcome": Outcome(id=f"{job}:1", kind="sent", job_id=job).to_json()})


def running(redis_url: str, *hooks: Hook) -> Telling:
    telling = Telling(lambda: connect(redis_url, Keys("rq")), list(hooks), 1000)
    telling.start()
    return telling


def taking(into: list[str]) -> Callable[[Sequence[Outcome]], None]:
    return lambda outcomes: into.extend(one.job_id for one in outcomes)


def refusing(outcomes: Sequence[Outcome]) -> None:
    raise ValueError("a@secret.example")


def test_hooks_are_told_apart_and_what_one_does_not_take_stays(
    redis: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(redis, "a")
    told: list[str] = []
    telling = running(redis_url, Hook("webhook", refusing, 100), Hook("python:x", taking(told), 1))
    wait_for(lambda: told == ["a"])
    write(redis, "b")
    wait_for(lambda: told == ["a", "b"])
    telling.stop()
    left = OutcomeStream(redis, "webhook").take_abandoned(10)
    assert [one.job_id for entry in left for one in entry.outcomes] == ["a", "b"]
    refused = [record.getMessage() for record in caplog.records if "didn't take" in record.getMessage()]
    assert len(refused) == 1
    assert "ValueError" in refused[0]
    assert "secret.example" not in refused[0]


def test_a_stream_that_is_none_is_told_of_and_waited_for(
    redis: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(KEYS.outcomes, "else")
    told: list[str] = []
    telling = running(redis_url, Hook("webhook", taking(told), 100))
    wait_for(lambda: "outcomes for webhook wait" in caplog.text)
    redis.delete(KEYS.outcomes)
    write(redis, "a")
    wait_for(lambda: told == ["a"])
    telling.stop()


def test_an_entry_point_is_loaded_when_it_is_first_told(caplog: pytest.LogCaptureFixture) -> None:
    found: list[Any] = []

    class Entry:
        name, value = "crm", "shop:tell"

        def load(self) -> Callable[[Outcome], None]:
            found.append("loaded")
            return found.append

    caplog.set_level("INFO")
    tell: Any = Callables(Entry())  # type: ignore[arg-type]
    one = Outcome(id="a:1", kind="sent")
    tell([one])
    tell([one])
    assert found == ["loaded", one, one]
    assert "told to crm (shop:tell)" in caplog.text


def test_what_would_end_its_thread_says_only_that_it_was_not_taken() -> None:
    class Entry:
        name, value = "crm", "shop:tell"

        def load(self) -> Callable[[Outcome], None]:
            return lambda _: sys.exit(1)

    tell: Any = Callables(Entry())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="crm raised SystemExit"):
        tell([Outcome(id="a:1", kind="sent")])
