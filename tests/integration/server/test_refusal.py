"""What a server says to a user without a right, in the words of a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses.keys import Keys
from rq_ses.server.connection import connect
from rq_ses.server.partitions import Partitions
from rq_ses.server.refusal import in_words, is_denied
from rq_ses.status.whole import read_whole
from support.servers.ports import free_port


@pytest.fixture
def restricted(redis: Redis) -> Iterator[Redis]:
    redis.acl_setuser("restricted", enabled=True, nopass=True, keys=["rq:*"], commands=["+@all", "-persist"])
    port = redis.connection_pool.connection_kwargs["port"]
    with Redis(port=port, username="restricted", password="any") as connection:
        yield connection
    redis.acl_deluser("restricted")


@pytest.mark.parametrize(
    "script", ["redis.call('PERSIST', 'rq:x')", "redis.call('GET', 'x')", "redis.call('PUBLISH', 'x', '')"]
)
def test_what_a_script_may_not_do_is_told_from_other_errors(restricted: Redis, script: str) -> None:
    with pytest.raises(ResponseError) as caught:
        restricted.eval(script, 0)
    assert is_denied(caught.value)


def test_what_the_user_may_not_do_is_told_from_other_errors(restricted: Redis) -> None:
    with pytest.raises(ResponseError) as caught:
        restricted.persist("rq:x")
    assert is_denied(caught.value)


@pytest.mark.parametrize("script", ["redis.call('GET')", "redis.call('PERMIT')", "return nothing"])
def test_other_errors_of_scripts_are_no_refusals(restricted: Redis, script: str) -> None:
    with pytest.raises(ResponseError) as caught:
        restricted.eval(script, 0)
    assert not is_denied(caught.value)


def test_the_partition_that_is_away_is_named_and_no_other(redis_url: str) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    for urls, named in (
        ((redis_url, away, redis_url), "partition {b}"),
        ((redis_url, redis_url, away), "prefix rq"),
    ):
        first, second, own = (
            connect(url, socket_timeout=1, connect_timeout=1, keys=Keys(prefix))
            for url, prefix in zip(urls, ("{a}", "{b}", "rq"), strict=True)
        )
        with Partitions([first, second], own) as partitions, pytest.raises(RedisError) as caught:
            read_whole(partitions, ["mail"], account=("default", "us-east-1"))
        assert in_words(caught.value).startswith(f"{named}: Redis did not answer (ConnectionError")
