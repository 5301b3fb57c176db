"""Connections are kept, shared by threads, replaced when they have gone, and left alone after a fork."""

from __future__ import annotations

import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import Sent
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.sockets import OK, Answering, read_request
from support.ses.attempts import BODY, CREDENTIALS, SECRET, assert_transient
from support.waiting import PATIENCE


def test_mails_go_over_one_kept_connection(serving: Any, client_of: Any) -> None:
    handler = Answering()
    server = serving(handler)
    client = client_of(f"{server.url}/prefix")
    assert [client.send_body(BODY) for _ in range(20)] == [Sent(200, message_id="m-1")] * 20
    assert server.connections == 1
    head, _, body = handler.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /prefix/v2/email/outbound-emails HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in head
    assert body == BODY


def test_threads_share_the_pool_and_get_their_own_answers(serving: Any, client_of: Any) -> None:
    def echo(connection: socket.socket) -> None:
        while request := read_request(connection):
            answer = b'{"MessageId":"%s"}' % request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    server = serving(echo)
    client = client_of(server.url, pool_size=8)
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda number: client.send_body(b"n-%d" % number), range(200)))
    assert [outcome.message_id for outcome in sent] == [f"n-{number}" for number in range(200)]
    assert server.connections <= 8


def test_a_kept_connection_that_the_server_closed_is_replaced_silently(serving: Any, client_of: Any) -> None:
    closed = threading.Event()

    def close_after_one(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)
        connection.close()
        closed.set()

    server = serving(close_after_one)
    client = client_of(server.url)
    for _ in range(3):
        closed.clear()
        assert client.send_body(BODY) == Sent(200, message_id="m-1")
        assert closed.wait(PATIENCE)
    assert server.connections == 3


def test_a_connection_idle_for_too_long_is_replaced(
    serving: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving(Answering())
    client = client_of(server.url)
    client.send_body(BODY)
    monkeypatch.setattr("rq_ses_worker.ses.wire.connection._IDLE_LIMIT", 0.0)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert server.connections == 2


def test_a_closed_client_lets_its_connections_go(serving: Any) -> None:
    gone = threading.Event()

    def wait_for_end(connection: socket.socket) -> None:
        Answering()(connection)
        gone.set()

    with SesClient(CREDENTIALS, Endpoint("us-east-1", serving(wait_for_end).url)) as client:
        client.send_body(BODY)
        assert not gone.is_set()
    assert gone.wait(PATIENCE)
    assert_transient(client.send_body(BODY), "ClientClosed", ambiguous=False)


def test_a_process_that_was_forked_does_not_share_the_connections_it_inherits(
    serving: Any, client_of: Any
) -> None:
    def naming(connection: socket.socket) -> None:
        while request := read_request(connection):
            answer = b'{"MessageId":"%s"}' % request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    server = serving(naming)
    client = client_of(server.url)
    assert client.send_body(b"before").message_id == "before"
    child = os.fork()
    if not child:
        own = [client.send_body(b"child-%d" % n).message_id == f"child-{n}" for n in range(50)]
        os._exit(0 if all(own) else 1)
    assert [client.send_body(b"own-%d" % n).message_id for n in range(50)] == [f"own-{n}" for n in range(50)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.connections == 2


def test_a_workers_pool_has_room_for_its_threads_and_the_one_that_asks_for_limits(
    serving: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    together = threading.Barrier(5)

    def at_once(connection: socket.socket) -> None:
        while read_request(connection):
            together.wait(20)
            connection.sendall(OK)

    for name, value in (("AWS_ACCESS_KEY_ID", "AKIDOFTHETESTS"), ("AWS_SECRET_ACCESS_KEY", SECRET)):
        monkeypatch.setenv(name, value)
    settings = load_worker_settings(base_url=serving(at_once).url, aws_region="us-east-1", concurrency=4)
    with settings.client() as client, ThreadPoolExecutor(5) as threads, caplog.at_level(logging.WARNING):
        for _ in range(3):
            asked = threads.submit(client.get_account)
            assert list(threads.map(client.send_body, [BODY] * 4)) == [Sent(200, message_id="m-1")] * 4
            assert asked.exception(20)
    assert "pool is full" not in caplog.text


def test_idle_connections_are_closed_when_told_and_made_anew(serving: Any, client_of: Any) -> None:
    server = serving(Answering())
    client = client_of(server.url, pool_size=4)
    for _ in range(2):
        assert client.send_body(BODY) == Sent(200, message_id="m-1")
        client.close_idle()
    assert server.connections == 2
    client.close()
    client.close_idle()
