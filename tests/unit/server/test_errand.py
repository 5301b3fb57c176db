"""What goes along with a claim never breaks it; a defect in it is told all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError, ResponseError

from rq_ses_worker.logging import events
from rq_ses_worker.server.errand import Along, Errand

Reading = Callable[[Sequence[Any]], str]


def answering(read: Reading, done: Callable[[str], None] = lambda _: None) -> None:
    Along(Errand([], read), done).answered([])


def raising(exc: Exception) -> Callable[[Any], Any]:
    def fail(_: Any) -> Any:
        raise exc

    return fail


@pytest.mark.parametrize("exc", [ConnectionLost("away"), ResponseError("OOM"), RedisError("odd")])
def test_what_redis_refused_is_left_to_whoever_does_it_by_itself(
    exc: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    answering(raising(exc), told.append)
    assert told == []
    assert caplog.records == []


@pytest.mark.parametrize("read", [raising(KeyError("reading")), lambda _: "words"], ids=["read", "done"])
def test_a_defect_is_told_each_time_with_its_traceback(
    read: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        answering(read, raising(ValueError("following")))
    assert [record.rq_ses_event for record in caplog.records] == [events.ALONG_RAISED] * 2
    for record in caplog.records:
        assert record.exc_info is not None
        assert record.exc_info[0] in (KeyError, ValueError)
        assert record.exc_info[2] is not None
