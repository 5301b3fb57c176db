"""The URL of a Redis server, judged part by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_ses import Outbox
from rq_ses.errors import SettingsError
from rq_ses.server.redisurl import check_redis_url, masked, max_connections
from rq_ses.settings.producer import load_producer_settings
from support.servers.certificates import CA, CERTIFICATE_AND_KEY

SENTINEL = "redis+sentinel://one,two/m"


def problem(url: str) -> str:
    with pytest.raises(ValueError, match="is not the URL of a Redis server: ") as caught:
        check_redis_url(url)
    assert caught.value.__cause__ is None
    return str(caught.value).partition("server: ")[2]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:a%2Fb%23c%3Fd%40e@h:1/0", "redis://:p@ss@h:1/0", "redis:///0", "redis://h:/0", "redis://[fe80::1%25lo]:1",
        "redis://h?password=a@b", "redis://:pw@h?client_name=a@b", "unix:///run/a@b.sock", "redis://h?protocol=3&db=2",
        "redis://h?socket_keepalive=no&health_check_interval=30&socket_timeout=0.5&max_connections=20",
        "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=False&ssl_min_version=772",
        "rediss+sentinel://:pw@one:5000,[::1]/m/1?sentinel_password=a@b&ssl_cert_reqs=required", SENTINEL,
        "redis+cluster://one:7001,two,[::1]/0", "rediss+cluster://u:p%40w@one?ssl_cert_reqs=none", "redis+cluster://one/1",
    ],
)  # fmt: skip
def test_a_sound_url_is_taken(url: str) -> None:
    check_redis_url(url)
    assert load_producer_settings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "sort",
    [
        "redis://:{}@h:6379/0",
        "rediss://u:{}@h",
        "redis+sentinel://:{}@one:1,two/m/0",
        "redis+cluster://:{}@one,two",
    ],
)
@pytest.mark.parametrize("mark", ["/", "#", "?"])
@pytest.mark.parametrize(
    "password", ["s3cret{}s3cret", "{}s3cret", "s3cret{}", "s3c@ret{}s3cret", "s3cret{}x=1&s3cret"]
)
def test_an_unescaped_character_in_a_password_is_named_with_its_code(
    sort: str, mark: str, password: str
) -> None:
    url = sort.format(password.format(mark))
    said = problem(url)
    assert f"unescaped {mark!r}" in said
    assert {"/": "/ as %2F", "#": "# as %23", "?": "? as %3F"}[mark] in said
    assert "s3c" not in said + masked(url)


def test_an_unescaped_at_sign_is_no_matter_but_where_sentinels_are_listed() -> None:
    check_redis_url("redis://:s3@cret@h")
    assert "unescaped '@': write it as %40" in problem("redis+sentinel://:s3@cret@one/m")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("h:6379", "it has no scheme: use redis://host:port/db"),
        ("", "it has no scheme"),
        ("REDIS", "it has no scheme"),
        ("http://h", "the scheme 'http' is not known: use redis://"),
        ("redsi://h", "the scheme 'redsi' is not known: did you mean redis://?"),
        ("REDIS://h", "did you mean redis://?"),
        ("redis-sentinel://h/m", "did you mean redis+sentinel://?"),
        ("valkeys://h", "the scheme 'valkeys' is not known"),
        ("redis://", "it names no host"),
        ("redis://h:port", "its port is not a number"),
        ("redis://h:-1", "its port is not a number"),
        ("redis://h:1,h:2", "it names several hosts, or a password without an @ behind it: use redis+cluster://host1:port"),
        ("rediss://a,b/0", "rediss+sentinel://host1:port,host2:port/service for Sentinels"),
        ("redis://h:0", "its port 0 is out of range: give one from 1 to 65535"),
        ("redis://h:65536", "its port 65536 is out of range"),
        ("redis://h:1234567890", "its port is out of range"),
        ("redis://[::1", "write host:port, and an IPv6 address in brackets"),
        ("redis://::1:6379", "an IPv6 address in brackets"),
        ("redis://h/mail", "its database 'mail' is not a number: write it as in redis://host:port/0"),
        ("redis://h/0/1", "its database '0/1' is not a number"),
        ("redis://h/-1", "its database '-1' is not a number"),
        ("redis://h:6379/0 ", "it holds a blank"),
        ("redis://a b", "it holds a blank"),
        ("redis://h\n", "a line end"),
        ("redis://hö", "isn't ASCII"),
        ("redis://h/0#1", "it has a fragment"),
        ("unix://", "it names no socket: write unix:///path"),
        ("redis+sentinel://h", "it names no service of the Sentinels"),
        ("redis+sentinel://h/", "it names no service of the Sentinels"),
        ("redis+sentinel://h:0/m", "its port 0 is out of range"),
        ("redis+sentinel://a,,b/m", "a Sentinel's host is missing"),
        ("redis+sentinel://a:1,b:x/m", "its port is not a number"),
        ("redis+sentinel://a/m/x", "its database 'x' is not a number: write it as in /service/0"),
        ("redis+cluster://", "a node's host is missing"),
        ("redis+cluster://a,,b", "a node's host is missing: write host1:port,host2:port"),
        ("redis+cluster://a:1,b:x", "its port is not a number"),
        ("redis+cluster://a/m", "its database 'm' is not a number: write it as in redis+cluster://host1:port,host2:port/0"),
        ("redis+cluster://a?sentinel_password=x", "its option 'sentinel_password' is not known"),
        ("redis+clutser://a", "did you mean redis+cluster://?"),
        ("redis+cluster://a?ssl_cert_reqs=none", "begin with rediss+cluster://"),
        ("redis://h?surprise=1", "its option 'surprise' is not known"),
        ("redis://h?sokcet_timeout=1", "'sokcet_timeout' is not known: did you mean socket_timeout?"),
        ("redis://h?PASSWORD=pw", "did you mean password?"),
        ("redis://h?sentinel_password=x", "its option 'sentinel_password' is not known"),
        (f"{SENTINEL}?sentinel_pasword=x", "did you mean sentinel_password?"),
        ("redis://h?db=x", "its option db 'x' can't be used: give a number from 0 upwards"),
        ("redis://h?socket_timeout=soon", "socket_timeout 'soon' can't be used: give seconds above 0"),
        ("redis://h?socket_timeout=nan", "give seconds above 0"),
        ("redis://h?socket_keepalive=maybe", "'maybe' can't be used: give true or false"),
        ("redis://h?protocol=4", "give 2 or 3"),
        ("redis://h?max_connections=0", "give a whole number from 1 upwards"),
        ("redis://h?max_connections=1.5", "give a whole number from 1 upwards"),
        ("redis://h?db=", "its option db has no value"),
        ("redis://h?db=1&db=2", "its option db stands twice"),
        ("redis://h?decode_responses=false", "RQ needs bytes: remove it"),
        ("redis://h?ssl_cert_reqs=none", "its option ssl_cert_reqs is TLS's: begin with rediss://"),
        (f"{SENTINEL}?ssl_cert_reqs=none", "begin with rediss+sentinel://"),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", "give none, optional or required"),
        ("rediss://h?ssl_min_version=1.2", "give 771 for TLS 1.2, or 772 for TLS 1.3"),
        ("rediss://h?ssl_ciphers=NONSUCH", "names no cipher"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs '/nowhere.pem' can't be used: No such"),
        ("rediss://h?ssl_certfile=/nowhere.pem", "its option ssl_certfile '/nowhere.pem' can't be used"),
        ("rediss+sentinel://one/m?ssl_keyfile=/nowhere.pem", "ssl_keyfile '/nowhere.pem' can't be used"),
        ("rediss://h?ssl_ca_path=/nowhere", "it is no directory"),
    ],
)  # fmt: skip
def test_the_part_that_is_wrong_is_named_with_the_remedy(url: str, said: str) -> None:
    assert said in problem(url)
    with pytest.raises(SettingsError) as caught:
        load_producer_settings(redis_url=url or " ")
    (line,) = caught.value.problems
    assert line.startswith("RQ_SES_REDIS_URL: ")
    assert len(line) <= 400


def test_what_may_be_a_password_is_never_shown() -> None:
    for url in ("redis://:s3cret", "redis://h:s3cret", "redis://s3cret:12345678", "redis://h?pasword=s3cret",
                "redis://:s3cret@h:x", f"{SENTINEL}?sentinel_password=s3cret&db=x"):  # fmt: skip
        said = problem(url)
        assert "s3cret" not in said.replace("redis://s3cret", "")
        assert "12345678" not in said


def test_an_outbox_says_the_same() -> None:
    with pytest.raises(ValueError, match="unescaped '/'") as caught:
        Outbox("redis://:s3c/ret@h")
    assert "s3c" not in str(caught.value)


def test_files_of_tls_are_opened_at_once(tmp_path: Path) -> None:
    ca, pair, text = tmp_path / "ca.pem", tmp_path / "pair.pem", tmp_path / "text.pem"
    ca.write_text(CA)
    pair.write_text(CERTIFICATE_AND_KEY)
    text.write_text("no certificate")
    sound = f"rediss://h?ssl_ca_certs={ca}&ssl_certfile={pair}&ssl_keyfile={pair}"
    check_redis_url(sound)
    check_redis_url(sound.replace("rediss://h", "rediss+sentinel://one/m"))
    assert "holds no certificates in PEM form" in problem(f"rediss://h?ssl_ca_certs={text}")
    assert "the key that belongs to it" in problem(f"rediss://h?ssl_certfile={ca}&ssl_keyfile={pair}")
    assert "ssl_keyfile stands without ssl_certfile" in problem(f"rediss://h?ssl_keyfile={pair}")


def test_the_bound_of_connections_is_read() -> None:
    assert max_connections("redis://h?db=1&max_connections=20") == 20
    assert max_connections("redis://:max_connections=3@h") is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/0?pasword=s3cret", "redis://h/0?PASSWORD=s3cret", "redis://h/0?pwd=s3cret&db=1",
        "redis://h/0&password=s3cret", "redis://h/0;pass=s3cret", "redis://h/0?auth=s3cret;x",
        "redis+sentinel://h/m/0?sentinel_pasword=s3cret", "redis+sentinel://h/m/0&sentinel_password=s3cret",
        "redis://h/0?ssl_password=s3cret", "redis://h/0?x=1&authToken=s3cret", "redis://h?sentinel_password=s3cret",
    ],
)  # fmt: skip
def test_a_password_in_a_misspelt_option_is_not_shown(url: str) -> None:
    assert "s3cret" not in problem(url) + masked(url)
    with pytest.raises(SettingsError) as caught:
        load_producer_settings(redis_url=url)
    assert "s3cret" not in str(caught.value)


def test_an_option_without_a_secret_is_shown() -> None:
    assert masked("redis://:x@h/0?socket_timeout=3&db=1") == "redis://***@h/0?socket_timeout=3&db=1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+cluster://127.0.0.1:7001,127.0.0.1:7002", "redis+cluster://127.0.0.1:7001,127.0.0.1:7002"),
        ("rediss+cluster://u:1,h:2@a:1,b:2,c:3/0?db=0", "rediss+cluster://***@a:1,b:2,c:3/0?db=0"),
        ("redis+sentinel://:x@one:5000,two:5001/m/1", "redis+sentinel://***@one:5000,two:5001/m/1"),
        ("redis+cluster://u:123,s3cret", "redis+cluster://u:***"),
        ("redis+cluster://u:123,s3cret,h:1", "redis+cluster://u:***"),
        ("redis+cluster://a:1,u:s3cret,b:2", "redis+cluster://a:***"),
        ("redis://u:123,h:1", "redis://u:***"),
    ],
)
def test_of_several_hosts_all_are_shown_and_no_password(url: str, shown: str) -> None:
    assert masked(url) == shown
