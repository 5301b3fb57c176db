"""The DeadLetters object: what it is made of, and a server that is away."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from rq.job import Job

from rq_ses.deadletter import DeadLetters
from support.mails.deadletters import (
    fail,
    mails,
    rejected,
    standing_failed,
)
from support.mails.mail import fetch


def test_a_server_that_is_away_raises_what_redis_py_says() -> None:
    with pytest.raises(ConnectionLost):
        DeadLetters("redis://127.0.0.1:1/0").groups()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "exactly one"),
        ({"redis_url": "redis://x", "connection": Redis()}, "exactly one"),
        ({"redis_url": "redis://x", "queues": "mail"}, "queues: "),
        ({"redis_url": "redis://x", "queues": []}, "queues: "),
    ],
)
def test_an_unusable_argument_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        DeadLetters(**arguments)


def test_a_url_is_enough(redis: Redis, redis_url: str) -> None:
    fail(redis, mails(2))
    assert DeadLetters(redis_url, queues=["mail", "mail"]).groups().count == 2
    assert isinstance(fetch(redis, next(iter(standing_failed(redis)))), Job)


def test_a_client_of_one_connection_reads_them_all(redis: Redis, redis_url: str) -> None:
    fail(redis, mails(3), rejected("user@example.com"))
    for client in (Redis.from_url(redis_url, max_connections=1), f"{redis_url}?max_connections=1"):
        assert DeadLetters(client).groups().count == 3
