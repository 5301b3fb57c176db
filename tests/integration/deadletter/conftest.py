"""Fixtures of the tests of dead letters."""

from __future__ import annotations

import pytest
from redis import Redis

from rq_ses.deadletter import DeadLetters


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return DeadLetters(redis)
