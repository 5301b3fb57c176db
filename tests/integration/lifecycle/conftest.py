"""A queue with two workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from support.mails.breaking import USER, let
from support.mails.transitions import Story


@pytest.fixture
def story(redis: Redis) -> Story:
    return Story(redis)


@pytest.fixture
def restricted(redis: Redis) -> Iterator[Redis]:
    let(redis, "~rq:*", "&rq:*", "+@all")
    port = redis.connection_pool.connection_kwargs["port"]
    with Redis(port=port, username=USER, password="any") as connection:
        yield connection
    redis.acl_deluser(USER)
