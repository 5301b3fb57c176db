"""An account with two workers: its gate is asked in the step that claims, or grants tokens before."""

from __future__ import annotations

import pytest
from redis import Redis

from support.mails.gate import Story


@pytest.fixture(params=["one step", "granted"])
def account(redis: Redis, request: pytest.FixtureRequest) -> Story:
    return Story(redis, granted=request.param == "granted")
