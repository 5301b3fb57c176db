"""What a server says to a user without a right, in the words of a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses.server.refusal import is_denied


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
