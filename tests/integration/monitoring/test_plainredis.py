"""Questions to a Redis without redis-py: answered as redis-py answers, or left to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from rq_ses_worker.monitoring.plainredis import NotPlain, PlainRedis
from rq_ses_worker.monitoring.registered import registered
from support.servers.valkey import serving


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that answers so, whatever it is asked, and hangs up; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_workers_are_read_as_redis_py_reads_them(redis: Redis, redis_url: str) -> None:
    redis.sadd("rq:workers", "rq:worker:a", "rq:worker:b", "rq:worker:expired", b"rq:worker:\xff\r\n")
    redis.hset("rq:worker:a", mapping={"hostname": "h", "last_heartbeat": "ü\r\n$-1"})
    redis.hset("rq:worker:b", mapping={"hostname": "", "death": "x" * 70_000})
    redis.hset(b"rq:worker:\xff\r\n", mapping={"hostname": b"\xff"})
    fields = ("hostname", "last_heartbeat", "death")
    with PlainRedis(redis_url) as plain:
        found = list(registered(plain, fields))
    assert found == list(registered(redis, fields))
    assert len(found) == 3


def test_a_server_without_workers_has_none(redis: Redis, redis_url: str) -> None:
    with PlainRedis(redis_url) as plain:
        assert list(registered(plain, ("hostname",))) == []


def test_user_password_and_database_are_those_of_the_url() -> None:
    with serving({}) as server:
        port = server.port
        with Redis(port=port, db=3) as client:
            client.config_set("requirepass", "secret")
            client.execute_command("ACL", "SETUSER", "watcher", "on", ">guard", "~*", "+@all")
            client.sadd("rq:workers", "rq:worker:w")
            client.hset("rq:worker:w", "hostname", "h")
        for user in (":secret@", "watcher:guard@"):
            with PlainRedis(f"redis://{user}127.0.0.1:{port}/3") as plain:
                assert [name for name, _ in registered(plain, ("hostname",))] == ["w"]
            with PlainRedis(f"redis://{user}127.0.0.1:{port}/2") as plain:
                assert list(registered(plain, ("hostname",))) == []
        for user in ("", ":wrong@", "nobody:guard@"):
            with PlainRedis(f"redis://{user}127.0.0.1:{port}/3") as plain, pytest.raises(NotPlain):
                list(registered(plain, ("hostname",)))


@pytest.mark.parametrize(
    "url",
    [
        "", "rediss://127.0.0.1:1", "unix:///tmp/x", "redis+sentinel://127.0.0.1:1/service", "redis://:p%40@127.0.0.1",
        "redis://127.0.0.1:1?db=1", "redis://user@127.0.0.1", "redis://127.0.0.1:65536", "redis://127.0.0.1:1/x",
        "redis://127.0.0.1:1",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_redis_py(url: str) -> None:
    with pytest.raises(NotPlain):
        PlainRedis(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"-LOADING it is\r\n", b"*1\r\n", b"*1\r\n$4\r\nab\r\n", b":1\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*x\r\n", b"*-2\r\n",
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_left_to_redis_py(answer: bytes) -> None:
    with answering(answer) as url, PlainRedis(url) as plain, pytest.raises(NotPlain):
        plain.smembers("rq:workers")
