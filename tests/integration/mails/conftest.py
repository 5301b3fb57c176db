"""A mail with a key."""

from __future__ import annotations

import pytest
from redis import Redis

from support.mails.keyed import Keyed


@pytest.fixture
def keyed(redis: Redis) -> Keyed:
    return Keyed(redis)
