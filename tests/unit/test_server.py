from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import SentinelConnectionPool

from rq_ses.errors import SettingsError
from rq_ses.server import connect, is_sentinel_url, read_sentinel_url
from rq_ses.settings import load_producer_settings


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
