"""An account with two workers."""

from __future__ import annotations

import pytest
from redis import Redis

from support.mails.gate import Story


@pytest.fixture
def account(redis: Redis) -> Story:
    return Story(redis)
