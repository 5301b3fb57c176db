"""Which clients an AsyncOutbox takes, what of them it keeps, and what merely importing it costs nobody."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from redis import Redis, RedisCluster
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from rq_ses import Message, Outbox, Submission
from rq_ses.aio import AsyncOutbox
from rq_ses.aio.connection import ASYNCIO
from rq_ses.server.connection import THREADS

URL = "redis://127.0.0.1:1/0"
MAIL = Message(sender="a@example.com", to="b@example.com", subject="Hi", text="Hello")


@pytest.mark.parametrize(
    ("connection", "remedy"),
    [
        (Redis(), "no client of asyncio's: give a redis.asyncio.Redis, or use rq_ses.Outbox"),
        (RedisCluster.__new__(RedisCluster), r"give its nodes as a URL \(redis\+cluster://.*asyncio.Redis"),
        (AsyncRedisCluster.__new__(AsyncRedisCluster), r"give its nodes as a URL \(redis\+cluster://"),
        (AsyncRedis().pipeline(), "Pipeline can't be used: give a redis.asyncio.Redis, or a URL"),
        (BlockingConnectionPool(), "BlockingConnectionPool can't be used: give a redis.asyncio.Redis"),
        (6379, "int can't be used"),
    ],
)  # fmt: skip
def test_what_is_no_client_of_asyncios_for_one_server_is_refused_with_what_to_give(
    connection: Any, remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        AsyncOutbox(connection)


def test_neither_face_takes_none_or_both_and_each_says_its_name() -> None:
    for face in (Outbox, AsyncOutbox):
        name = face.__name__
        with pytest.raises(ValueError, match=rf"^{name} needs either .* or let {name}.from_env\(\)"):
            face()
        with pytest.raises(ValueError, match="give exactly one of them"):
            face(URL, connection=AsyncRedis())  # type: ignore[arg-type]


def test_a_client_of_sentinels_is_copied_with_those_and_asks_each_briefly() -> None:
    handed = Sentinel([("one", 1), ("two", 2)], sentinel_kwargs={"password": "s"}).master_for(
        "m", password="p", socket_timeout=60
    )
    own = ASYNCIO.own(handed, socket_timeout=3, connect_timeout=2).connection_pool
    assert isinstance(own, SentinelConnectionPool)
    options = own.connection_kwargs
    assert (own.service_name, options["password"], options["socket_timeout"]) == ("m", "p", 3)
    asked = [one.connection_pool.connection_kwargs for one in own.sentinel_manager.sentinels]
    assert [(one["host"], one["password"], one["socket_timeout"]) for one in asked] == [
        ("one", "s", 1),
        ("two", "s", 1),
    ]
    assert own.sentinel_manager is not handed.connection_pool.sentinel_manager
    replica = Sentinel([("one", 1)]).slave_for("m")
    with pytest.raises(ValueError, match="its server is a replica"):
        AsyncOutbox(replica)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p@one:7000/3?max_connections=5&client_name=x",
        "unix:///run/redis.sock?db=2",
        "rediss://one?ssl_cert_reqs=none",
        "redis+sentinel://:p@one,two/m/1",
        "redis+cluster://:p@one:7001,two?protocol=3",
    ],
)
def test_both_faces_read_a_url_alike(url: str) -> None:
    pools = [
        kind.connect(url, socket_timeout=3, connect_timeout=2).connection_pool for kind in (THREADS, ASYNCIO)
    ]
    names = (
        "host",
        "port",
        "path",
        "db",
        "password",
        "client_name",
        "protocol",
        "socket_timeout",
        "ssl_cert_reqs",
    )
    first, second = ({name: pool.connection_kwargs.get(name) for name in names} for pool in pools)
    assert first == second
    assert first["socket_timeout"] == 3
    assert (pools[0].max_connections == 5) == (pools[1].max_connections == 5) == ("max_connections" in url)
    for pool, kind in zip(pools, (THREADS, ASYNCIO), strict=True):
        assert issubclass(pool.connection_class, kind.bounded)


def test_it_is_made_of_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_REDIS_URL", URL)
    monkeypatch.setenv("RQ_SES_QUEUE", "letters")
    assert AsyncOutbox.from_env(partitions=["{a}", "{b}"]).queue == "letters"
    with pytest.raises(ValueError, match="enqueue_timeout"):
        AsyncOutbox(URL, enqueue_timeout=0)


@pytest.mark.parametrize("call", [AsyncOutbox.send_many, AsyncOutbox.try_send_many])
@pytest.mark.parametrize("messages", [None, 5, MAIL, Submission(MAIL)])
def test_what_is_no_iterable_of_messages_is_named(call: Any, messages: Any) -> None:
    coroutine = call(AsyncOutbox(URL), messages)
    with pytest.raises(TypeError, match=r"is no iterable of messages: give a list, or call send"):
        coroutine.send(None)


def test_neither_a_worker_nor_an_outbox_loads_it_or_redis_asyncio() -> None:
    code = """
import sys
import rq_ses.cli.leanredis  # as each command begins
from rq_ses import Outbox
import rq_ses_worker.engine.process.command
Outbox("redis://127.0.0.1:1/0")
print(sorted({"rq_ses.aio", "redis.asyncio.client"} & set(sys.modules)))
import rq_ses.aio
print("redis.asyncio.client" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["[]", "True"], done.stderr
