from __future__ import annotations

import logging

import pytest
from redis import exceptions as errors
from redis._parsers.base import BaseParser

from rq_ses_worker.engine.threads.outage import Outage, passes


@pytest.mark.parametrize(
    "answer",
    [
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
        "CLUSTERDOWN The cluster is down",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "NOAUTH Authentication required.",
        "NOREPLICAS Not enough good replicas to write.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR max number of clients reached",
        "ERR Error running script: @user_script:9: -OOM command not allowed when used memory > 'maxmemory'.",
    ],
    ids=lambda answer: answer.split(" ")[0],
)
def test_the_servers_state_is_waited_for_as_redis_py_tells_it(answer: str) -> None:
    assert passes(BaseParser.parse_error(answer))


@pytest.mark.parametrize(
    "answer", ["WRONGTYPE Operation against a key holding the wrong kind of value", "ERR syntax error"]
)
def test_what_is_wrong_in_itself_is_not_waited_for(answer: str) -> None:
    assert not passes(BaseParser.parse_error(answer))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            errors.ConnectionError("Connection refused."),
            "Redis is away (ConnectionError: Connection refused.); m",
        ),
        (errors.ReadOnlyError("a replica"), "Redis refuses (ReadOnlyError: a replica); m"),
        (
            errors.AuthenticationError("invalid username-password pair or user is disabled."),
            "Redis refuses (AuthenticationError: invalid username-password pair or user is disabled.); m: "
            "check user and password in RQ_SES_REDIS_URL (special characters percent-encoded)",
        ),
        (
            errors.ResponseError("This instance has cluster support disabled"),
            "Redis refuses (ResponseError: This instance has cluster support disabled); m: "
            "the server isn't one of a cluster: write redis:// in RQ_SES_REDIS_URL, with a single host",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_pass_by_itself_is_logged_once_with_its_remedy(
    caplog: pytest.LogCaptureFixture, error: errors.RedisError, line: str
) -> None:
    outage = Outage(logging.getLogger("rq_ses_worker.test"), "m")
    outage.failed(error)
    outage.failed(error)
    assert caplog.messages == [line]
