"""The doctor's look at a TLS server and at RQ's registry, and the client's questions over real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from rq_ses.keys import Keys
from rq_ses.message.message import Message
from rq_ses_worker.doctor.checkup import _redis as checked_redis
from rq_ses_worker.doctor.endpoint import check_endpoint
from rq_ses_worker.doctor.finding import Finding
from rq_ses_worker.doctor.sender.resolver import DnsUnavailable, Resolver
from rq_ses_worker.doctor.server import check_server
from rq_ses_worker.doctor.workers import SILENT, check_workers
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.servers.nameserver import nameserver
from support.servers.valkey import client, url, valkey
from support.waiting import PATIENCE, wait_for

MAIL = Message(sender="a@example.com", to=["b@example.com"], subject="Hello", text="Body")
QUEUES = ("mail-high", "mail", "mail-bulk")


# The way to SES


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(CA)
    return str(path)


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """Accept one connection, shake hands if there is a context, else hang up; yields the port."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            if context is not None:
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        tls.recv(1)
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE_AND_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def look(url: str, ca: str | None = None, *, proxied: bool = False, now: datetime | None = None) -> Finding:
    [finding] = check_endpoint(url, ca_bundle=ca, proxied=proxied, timeout=5.0, now=now)
    assert finding.id == "endpoint.tls"
    return finding


def test_a_verified_certificate_is_told_with_its_end(tls: ssl.SSLContext, ca: str) -> None:
    with serving(tls) as port:
        finding = look(f"https://localhost:{port}/v2/email/outbound-emails", ca)
    assert finding.severity == "ok"
    assert f"localhost:{port} is reached by TLSv1." in finding.text
    assert "good until 2120-01-01" in finding.text


def test_a_certificate_near_its_end_is_warned_of(tls: ssl.SSLContext, ca: str) -> None:
    with serving(tls) as port:
        finding = look(f"https://localhost:{port}", ca, now=datetime(2119, 12, 25, tzinfo=UTC))
    assert finding.severity == "warning"
    assert "expires on 2120-01-01" in finding.text


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("127.0.0.1", True)])
def test_a_certificate_that_is_refused_is_an_error(
    tls: ssl.SSLContext, ca: str, host: str, trusted: bool
) -> None:
    with serving(tls) as port:
        finding = look(f"https://{host}:{port}", ca if trusted else None)
    assert finding.severity == "error"
    assert "CertificateRefused" in finding.text
    assert "RQ_SES_CA_BUNDLE" in finding.remedy


def test_a_server_without_tls_and_one_that_is_away_are_errors() -> None:
    with serving(None) as port:
        assert "TlsHandshakeFailed" in look(f"https://localhost:{port}").text
    assert "ConnectionRefused" in look(f"https://127.0.0.1:{port}").text
    assert "NameResolutionFailed" in look("https://nowhere.invalid").text


def test_where_there_is_no_tls_or_a_proxy_nothing_is_looked_at() -> None:
    assert look("http://127.0.0.1:1").severity == "info"
    assert look("http://192.0.2.1").severity == "warning"
    assert look("https://email.us-east-1.amazonaws.com", proxied=True).severity == "info"


# Workers


def register(redis: Redis, name: str, queues: str, beat: datetime) -> None:
    redis.sadd("rq:workers", f"rq:worker:{name}")
    fields = {"queues": queues, "last_heartbeat": beat.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    redis.hset(f"rq:worker:{name}", mapping=fields)


def seen(redis: Redis) -> dict[str, Finding]:
    return {finding.id: finding for finding in check_workers(redis, QUEUES)}


def test_workers_are_seen_by_their_queues_and_their_heartbeat(redis: Redis) -> None:
    now = datetime.now(UTC)
    redis.sadd("rq:workers", "rq:worker:expired")
    register(redis, "other", "default", now)
    register(redis, "dead", "mail", now - timedelta(seconds=SILENT + 60))
    assert seen(redis)["workers.seen"].severity == "warning"
    register(redis, "alive<b>", "mail-high,mail,mail-bulk", now)
    found = seen(redis)
    assert found["workers.seen"].text == "1 worker: alive‹b›"
    assert "dead" in found["workers.silent"].text
    assert "workers.queues" not in found


def test_a_queue_that_no_worker_is_at_is_warned_of(redis: Redis) -> None:
    register(redis, "one", "mail,mail-high", datetime.now(UTC))
    found = seen(redis)
    assert found["workers.seen"].severity == "ok"
    assert found["workers.queues"].text.startswith("no worker is at mail-bulk, while others are at ")


def test_a_registry_that_somebody_has_spoilt_is_read_all_the_same(redis: Redis) -> None:
    redis.set("rq:worker:odd", "no hash")
    redis.sadd("rq:workers", "rq:worker:odd", b"\xff")
    redis.hset("rq:worker:blank", "queues", b"mail,\xff")
    redis.hset("rq:worker:blank", "last_heartbeat", "yesterday")
    redis.sadd("rq:workers", "rq:worker:blank")
    found = seen(redis)
    assert found["workers.seen"].severity == "warning"
    assert "blank" in found["workers.silent"].text


# What Redis allows


@pytest.mark.parametrize(
    ("rules", "severity", "words"),
    [
        (("~rq:*", "&rq:*", "+@all"), "ok", "user limited may do"),
        (("~rq:*", "&rq:*", "+@all", "-xadd", "-copy"), "error", "user limited may not call COPY, XADD"),
        (("~rq:*", "&other", "+@all"), "error", "PUBLISH, SUBSCRIBE"),
        (("~rq:job:*", "%R~rq:*", "&rq:*", "+@all"), "error", "HSET"),
        (("~rq:ses:*", "&rq:*", "+@all"), "error", "user limited may not use keys rq:wip:*"),
        (("~rq:*", "&rq:ses:*", "+@all"), "error", "user limited may not use channels rq:pubsub:x"),
        (("~rq:*", "&rq:*", "+@all", "-acl"), "info", "doesn't tell"),
        (("~rq:*", "&rq:*", "+@all", "-info", "-config"), "error", "INFO"),
    ],
)
def test_a_user_who_may_not_do_what_workers_do_is_found_out(
    redis: Redis, redis_url: str, rules: tuple[str, ...], severity: str, words: str
) -> None:
    redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">sesame", *rules)
    own_url = redis_url.replace("//", "//limited:sesame@")
    before = {key: redis.dump(key) for key in redis.keys("*")}
    try:
        with Redis.from_url(own_url) as connection:
            found = {finding.id: finding for finding in check_server(connection, own_url)}
    finally:
        redis.execute_command("ACL", "DELUSER", "limited")
    assert found["redis.acl"].severity == severity
    assert words in found["redis.acl"].text
    assert "sesame" not in repr(found)
    assert "redis.password" not in found
    assert {key: redis.dump(key) for key in redis.keys("*")} == before


def test_a_server_beyond_this_machine_that_lets_anybody_in_is_told(redis: Redis) -> None:
    def told(redis_url: str) -> bool:
        return "redis.password" in {finding.id for finding in check_server(redis, redis_url)}

    assert told("redis://10.0.0.1:6379/0")
    assert told("redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mail")
    assert not told("redis://:secret@10.0.0.1:6379/0")
    assert not told("redis://localhost:6379/0")
    assert not told("unix:///run/redis.sock")


def test_a_replica_takes_no_writes_and_is_an_error(redis: Redis, tmp_path: Path) -> None:
    with valkey(tmp_path / "replica") as server, client(server) as replica:
        host = redis.connection_pool.connection_kwargs
        replica.replicaof(host["host"], host["port"])
        found = {finding.id: finding for finding in check_server(replica, url(server))}
    assert found["redis.role"].severity == "error"
    assert "primary" in found["redis.role"].remedy


@pytest.mark.parametrize(
    ("room", "severity", "words"),
    [
        (2.0, None, ""),
        (1.05, "warning", "% of maxmemory is used"),
        (0.5, "error", "it refuses new mails (OOM)"),
    ],
)
def test_a_server_without_room_for_mails_is_told(
    redis: Redis, redis_url: str, room: float, severity: str | None, words: str
) -> None:
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * room))
    try:
        found = {finding.id: finding for finding in check_server(redis, redis_url)}
    finally:
        redis.config_set("maxmemory", 0)
    memory = found.get("redis.memory")
    assert (memory and memory.severity) == severity
    assert memory is None or words in memory.text


def test_a_server_whose_snapshots_fail_is_told(tmp_path: Path) -> None:
    with valkey(tmp_path / "data") as server, client(server) as connection:
        assert "redis.snapshot" not in {finding.id for finding in check_server(connection, url(server))}
        (tmp_path / "data" / "dump.rdb").unlink(missing_ok=True)
        (tmp_path / "data" / "dump.rdb" / "in the way").mkdir(parents=True)
        connection.bgsave()
        wait_for(lambda: connection.info("persistence")["rdb_last_bgsave_status"] == "err")
        found = {finding.id: finding for finding in check_server(connection, url(server))}
    assert found["redis.snapshot"].severity == "warning"


# Resolver


def test_a_name_server_is_asked_and_what_it_does_not_have_is_nothing() -> None:
    records = {
        ("example.com", "TXT"): ('"v=spf1 " "-all"', '"other"'),
        ("alias.example.com", "CNAME"): ("Target.Example.COM.",),
        ("example.com", "MX"): ("10 mx.example.com.",),
    }
    with nameserver(records) as address:
        names = Resolver(address)
        assert sorted(names.texts("example.com")) == ["other", "v=spf1 -all"]
        assert names.alias("alias.example.com") == "target.example.com"
        assert names.mail_servers("example.com") == ("mx.example.com",)
        assert names.texts("missing.example.com") == names.mail_servers("alias.example.com") == ()
        assert names.alias("example.com") is None
        for impossible in ("a" * 64 + ".example.com", "..", "x" * 300):
            with pytest.raises(DnsUnavailable):
                names.texts(impossible)


def test_all_questions_together_are_bounded() -> None:
    with nameserver({}, silent=True) as address:
        names = Resolver(address, seconds=0.3)
        with pytest.raises(DnsUnavailable, match=r"no answer to TXT of example\.com"):
            names.texts("example.com")
        with pytest.raises(DnsUnavailable, match=r"took too long; not asked for MX of example\.org"):
            names.mail_servers("example.org")


# A server that can't be worked with


@pytest.mark.parametrize(
    ("form", "reason", "remedy"),
    [
        ("redis://127.0.0.1:{}/99", "DB index is out of range", "write /0, or raise its `databases`"),
        ("redis+cluster://127.0.0.1:{}", "cluster support disabled", "write redis:// in RQ_SES_REDIS_URL"),
        (
            "redis://nobody:wrong@127.0.0.1:{}",
            "AuthenticationError",
            "check user and password in RQ_SES_REDIS_URL",
        ),
    ],
)
def test_what_redis_refuses_has_the_remedy_for_that_and_nothing_else_is_said_of_the_server(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, form: str, reason: str, remedy: str
) -> None:
    port = redis.connection_pool.connection_kwargs["port"]
    monkeypatch.setenv("RQ_SES_REDIS_URL", form.format(port))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    [found] = checked_redis(load_worker_settings())
    assert (found.id, found.severity) == ("redis.reached", "error")
    assert found.text.startswith("answers, but refuses (")
    assert reason in found.text
    assert remedy in found.remedy


# Partitions


def test_what_is_not_so_in_all_partitions_is_told_of_those_where_it_is(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RQ_SES_REDIS_URL", redis_url)
    monkeypatch.setenv("RQ_SES_PARTITIONS", "{mail0},{mail1}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    here = Keys("{mail1}")
    redis.sadd(here.workers, here.worker("w"))
    beat = datetime.now(UTC).isoformat()
    redis.hset(here.worker("w"), mapping={"queues": ",".join(QUEUES), "last_heartbeat": beat})
    redis.set(here.suspended, 1)
    all_found = list(checked_redis(load_worker_settings()))
    [held] = [one for one in all_found if one.id == "workers.suspended"]
    assert held.remedy == "let them go on: `RQ_KEY_PREFIX='{mail1}' rq resume`"
    found = {(one.id, one.text) for one in all_found}
    seen = {text for name, text in found if name == "workers.seen"}
    assert {text.partition(": ")[0] for text in seen} == {"{mail0}", "{mail1}"}
    assert ("workers.suspended", "{mail1}: all workers are suspended (`rq suspend`): mails wait") in found
    assert len([name for name, _ in found if name == "redis.version"]) == 1
    assert len([name for name, _ in found if name == "gate.breaker"]) == 1
