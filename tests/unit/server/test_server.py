from __future__ import annotations

from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis
from redis import BlockingConnectionPool, ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import ConstantBackoff
from redis.cluster import RedisCluster
from redis.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from rq_ses.errors import SettingsError
from rq_ses.server.connection import connect, is_sentinel_url, own_client, read_sentinel_url
from rq_ses.settings.producer import load_producer_settings


def test_a_sentinel_url_names_sentinels_service_and_database() -> None:
    found = read_sentinel_url("redis+sentinel://:p%40w@one:26379,[::1]:5000,three/mail%2Dredis/2")
    assert found.sentinels == (("one", 26379), ("::1", 5000), ("three", 26379))
    assert found.service == "mail-redis"
    assert found.options == {"password": "p@w", "db": 2}
    assert found.sentinel_options == {}


def test_the_sentinels_own_credentials_and_redis_pys_options_stand_in_the_query() -> None:
    found = read_sentinel_url(
        "redis+sentinel://app:pw@one/m?sentinel_username=u&sentinel_password=s%26t&health_check_interval=5"
    )
    assert found.sentinel_options == {"username": "u", "password": "s&t"}
    assert found.options == {"username": "app", "password": "pw", "db": 0, "health_check_interval": 5}


def test_tls_holds_for_the_primary_and_for_the_sentinels() -> None:
    found = read_sentinel_url("rediss+sentinel://one/m?ssl_ca_certs=/ca.pem&sentinel_password=s")
    assert found.options == {"db": 0, "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert found.sentinel_options == {"password": "s", "ssl": True, "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://", "redis+sentinel://one", "redis+sentinel://one/", "redis+sentinel://one:0/m",
        "redis+sentinel://one:65536/m", "redis+sentinel://one:x/m", "redis+sentinel://,/m", "redis+sentinel://a,,b/m",
        "redis+sentinel://one/m/x", "redis+sentinel://one/m/0/1", "redis+sentinel://one /m", "redis+sentinel://one/m\n",
        "redis+sentinel://one/m?db=x", "redis+sentinel://a@b@one/m", "redis+sentinel://[::1/m",
    ],
)  # fmt: skip
def test_what_is_no_sentinel_url_is_refused_without_a_word_of_it(url: str) -> None:
    secret = url.replace("://", "://:s3cr3t@", 1)
    for text in (url, secret):
        with pytest.raises(ValueError) as caught:
            read_sentinel_url(text)
        assert "s3cr3t" not in str(caught.value)


def test_the_settings_take_a_sentinel_url_and_refuse_a_wrong_one_without_its_password() -> None:
    url = "redis+sentinel://:pw@one:26379,two:26379/m/1"
    assert load_producer_settings(redis_url=url).redis_url == url
    for wrong, told in (
        ("redis+sentinel://:s3cr3t@one:26379", "names no service"),
        ("redis+sentinel://:s3cr3t@one/m?surprise=1", "option 'surprise' is not known"),
    ):
        with pytest.raises(SettingsError, match=told) as caught:
            load_producer_settings(redis_url=wrong)
        assert "s3cr3t" not in str(caught.value)
    with pytest.raises(SettingsError):
        load_producer_settings(redis_url="redis+sentinel://one/m?decode_responses=true")


@pytest.mark.parametrize(
    "url", ["redis://:s3cr3t@one/0", "redis+sentinel://:s3cr3t@one/m?sentinel_password=s3cr3t"]
)
def test_a_client_is_not_connected_does_not_try_again_and_hides_its_passwords(url: str) -> None:
    with connect(url, socket_timeout=3, connect_timeout=2) as client:
        pool = client.connection_pool
        assert isinstance(pool, SentinelConnectionPool) == is_sentinel_url(url)
        options = pool.connection_kwargs
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3, 2)
        assert options["retry"].get_retries() == 0
        assert "s3cr3t" not in repr(client) + repr(pool)
        if is_sentinel_url(url):
            assert "s3cr3t" not in repr(read_sentinel_url(url))


def test_without_any_sentinel_there_is_no_connection() -> None:
    with (
        connect("redis+sentinel://127.0.0.1:1/m", socket_timeout=1, connect_timeout=1) as client,
        pytest.raises(RedisConnectionError),
    ):
        client.ping()


def owned(connection: Any) -> Redis:
    return own_client(connection, socket_timeout=1.5, connect_timeout=0.5)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {"host": "localhost", "port": 6379, "db": 0}),
        ({"host": "::1", "port": 7000, "db": 3, "username": "app", "password": "p#w"}, {}),
        ({"protocol": 2, "client_name": "shop", "health_check_interval": 7}, {}),
        ({"unix_socket_path": "/run/redis.sock", "password": "pw"}, {"path": "/run/redis.sock"}),
        ({"ssl": True, "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}, {}),
    ],
)
def test_a_client_of_our_own_keeps_where_a_handed_one_leads_and_neither_its_waits_nor_its_decoding(
    options: dict[str, Any], kept: dict[str, Any]
) -> None:
    plain = {name: value for name, value in options.items() if name not in ("ssl", "unix_socket_path")}
    handed = Redis(
        **options,
        decode_responses=True,
        encoding="latin-1",
        socket_timeout=60,
        max_connections=7,
        retry=Retry(ConstantBackoff(1), 10),
        retry_on_error=[RedisConnectionError],
    )
    before = dict(handed.connection_pool.connection_kwargs)
    pool = owned(handed).connection_pool
    found = pool.connection_kwargs
    for name, value in {**plain, **kept}.items():
        assert found[name] == value, name
    assert (found["socket_timeout"], found["socket_connect_timeout"]) == (1.5, 0.5)
    assert (found["decode_responses"], found["encoding"]) == (False, "utf-8")
    assert found["retry"].get_retries() == 0
    assert not found["retry_on_error"]
    assert pool.max_connections == 7
    assert issubclass(pool.connection_class, SSLConnection) == bool(options.get("ssl"))
    assert issubclass(pool.connection_class, UnixDomainSocketConnection) == ("unix_socket_path" in options)
    assert handed.connection_pool.connection_kwargs == before
    assert pool.make_connection() is not None


def test_a_client_of_our_own_asks_the_same_sentinels_but_only_briefly() -> None:
    theirs = Sentinel(
        [("one", 26379), ("two", 26380)],
        sentinel_kwargs={"password": "s", "socket_timeout": 60},
        min_other_sentinels=1,
    )
    pool: Any = owned(theirs.master_for("m", password="p", db=2, ssl=True)).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.connection_kwargs["password"], pool.connection_kwargs["db"]) == (
        "m",
        "p",
        2,
    )
    assert issubclass(pool.connection_class, SSLConnection)
    assert pool.sentinel_manager.min_other_sentinels == 1
    asked = [client.connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"], one["password"]) for one in asked] == [
        ("one", 26379, "s"),
        ("two", 26380, "s"),
    ]
    assert all(one["socket_timeout"] == 1 and one["retry"].get_retries() == 0 for one in asked)


def test_a_pool_whose_connections_are_waited_for_is_one_that_waits_no_longer_than_a_command() -> None:
    pool: Any = owned(
        Redis(connection_pool=BlockingConnectionPool(max_connections=2, timeout=60))
    ).connection_pool
    assert isinstance(pool, BlockingConnectionPool)
    assert (pool.max_connections, pool.timeout) == (2, 1.5)


def test_a_client_of_our_own_sees_the_data_of_a_fakeredis() -> None:
    fake = FakeRedis(decode_responses=True)
    own = owned(fake)
    own.set("x", "é" * 300_000)
    assert fake.get("x") == "é" * 300_000
    assert own.getrange("x", 0, 1) == "é".encode()


@pytest.mark.parametrize(
    ("connection", "remedy"),
    [
        (RedisCluster.__new__(RedisCluster), r"give its nodes as a URL \(redis\+cluster://"),
        (AsyncRedis(), "asyncio's: give a redis.Redis"),
        (FakeAsyncRedis(), "asyncio's: give a redis.Redis"),
        (Redis().pipeline(), "Pipeline can't be used: give a redis.Redis"),
        (ConnectionPool(), "ConnectionPool can't be used: give a redis.Redis"),
        ("redis://127.0.0.1:6379/0", "or a URL as redis_url"),
        (None, "or a URL as redis_url"),
    ],
)  # fmt: skip
def test_what_is_no_client_of_one_server_is_refused_with_what_to_give(connection: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=remedy):
        owned(connection)


def test_a_client_of_replicas_is_refused() -> None:
    with pytest.raises(ValueError, match="give Sentinel"):
        owned(Sentinel([("one", 1)]).slave_for("m"))
