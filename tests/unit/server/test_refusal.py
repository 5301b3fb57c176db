from __future__ import annotations

import pytest
from redis import exceptions as errors
from redis.sentinel import MasterNotFoundError

from rq_ses.server.refusal import read_refusal


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectionError("Connection closed by server."),
        errors.TimeoutError("Timeout reading from socket"),
        errors.BusyLoadingError("Redis is loading the dataset in memory"),
        errors.ClusterDownError("The cluster is down"),
        errors.MasterDownError("Link with MASTER is down"),
        errors.TryAgainError("Multiple keys request during rehashing of slot"),
        errors.ReadOnlyError("You can't write against a read only replica."),
        errors.NoScriptError("NOSCRIPT No matching script."),
        errors.MaxConnectionsError("Too many connections"),
        errors.ConnectionError("max number of clients reached"),
        errors.ResponseError("max number of clients + cluster connections reached"),
        errors.ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL."),
        errors.ResponseError("NOREPLICAS Not enough good replicas to write."),
        errors.ResponseError(
            "Error running script (call to f_1): @user_script:57: -READONLY You can't write"
        ),
        MasterNotFoundError("No master found for 'm' : <one> - AuthenticationError('invalid password')"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_what_passes_is_tried_again(error: errors.RedisError) -> None:
    assert read_refusal(error).passes


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (errors.MovedError("4247 127.0.0.1:7001"), "RQ_KEY_PREFIX='{mail}'"),
        (errors.AskError("4247 127.0.0.1:7001"), "RQ_KEY_PREFIX='{mail}'"),
        (errors.ClusterCrossSlotError("Keys in request don't hash to the same slot"), "RQ_KEY_PREFIX"),
        (errors.ResponseError("SELECT is not allowed in cluster mode"), "/0"),
        (errors.ResponseError("This instance has cluster support disabled"), "write redis://"),
        (
            errors.AuthenticationError("invalid username-password pair or user is disabled."),
            "user and password",
        ),
        (errors.NoPermissionError("User app has no permissions to run the 'rpush' command"), "+rpush"),
        (
            errors.ResponseError(
                "ACL failure in script: User a has no permissions to run the 'time' command"
            ),
            "+time",
        ),
        (errors.ResponseError("ACL failure in script: No permissions to access a channel"), "&rq:*"),
        (errors.NoPermissionError("No permissions to access a key"), "~rq:*"),
        (errors.ResponseError("DB index is out of range"), "/0"),
        (errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "maxmemory"),
        (errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind"), "of its own"),
        (errors.ResponseError("MISCONF Redis is configured to save RDB snapshots, but"), "its disk"),
        (errors.ResponseError("unknown command 'EVALSHA', with args beginning with:"), "EVALSHA"),
        (errors.ResponseError("DENIED Redis is running in protected mode because"), "set a password"),
        (errors.ConnectionError("Error 1 connecting: [SSL: CERTIFICATE_VERIFY_FAILED]"), "ssl_ca_certs"),
        (errors.ConnectionError("Error 1 connecting: [SSL: WRONG_VERSION_NUMBER]"), "redis://"),
        (errors.ResponseError("something nobody has seen"), "check RQ_SES_REDIS_URL and the server"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_does_not_pass_has_a_remedy(error: errors.RedisError, remedy: str) -> None:
    refusal = read_refusal(error)
    assert not refusal.passes
    assert remedy in refusal.remedy
    assert refusal.reason.startswith(f"{type(error).__name__}: {str(error)[:20]}")
