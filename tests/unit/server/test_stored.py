"""What a pipeline has as an answer."""

from __future__ import annotations

import pytest
from redis.exceptions import MovedError, NoPermissionError, ReadOnlyError, RedisError, ResponseError

from rq_ses.server.stored import answered


def test_a_key_of_another_type_holds_nothing_of_ours() -> None:
    assert (
        answered(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")) is None
    )
    assert answered([b"x", None]) == [b"x", None]


@pytest.mark.parametrize(
    "error",
    [
        MovedError("4247 127.0.0.1:7001"),
        NoPermissionError("NOPERM this user has no permissions"),
        ReadOnlyError("READONLY You can't write against a read only replica."),
        ResponseError("ERR DB index is out of range"),
    ],
)
def test_any_other_error_is_never_taken_for_nothing(error: RedisError) -> None:
    with pytest.raises(type(error)):
        answered(error)
