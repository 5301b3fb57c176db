"""A queue with two workers."""

from __future__ import annotations

import pytest
from redis import Redis

from support.mails.transitions import Story


@pytest.fixture
def story(redis: Redis) -> Story:
    return Story(redis)
