"""A large mail has the time that its bytes take, and no more."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Sent
from support.servers.sockets import OK, Handler, read_request, silent
from support.ses.attempts import TIMEOUT, assert_transient, failed_in_time


def reading(rate: float, answer: bytes | None) -> Handler:
    """Read at so many bytes a second, then answer, or never do."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        received, began, length = b"", time.monotonic(), 0
        total = 0
        while not length or total < length:
            piece = connection.recv(16_384)
            if not piece:
                return
            total += len(piece)
            if not length:
                received += piece
                head, end, _ = received.partition(b"\r\n\r\n")
                if end:
                    body = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    length = len(head) + 4 + body
            time.sleep(max(0.0, began + total / rate - time.monotonic()))
        if answer is None:
            connection.recv(1)
        else:
            connection.sendall(answer)

    return handle


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_large_mail_has_the_time_that_its_bytes_take(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, encrypted: bool
) -> None:
    server = serving(reading(8_000_000, OK), tls if encrypted else None)
    body = b"x" * 12_000_000
    client = client_of(server.url, TIMEOUT, min_upload_rate=1_000_000, ca_bundle=ca)
    began = time.monotonic()
    assert client.send_body(body) == Sent(200, message_id="m-1")
    assert time.monotonic() - began > 2 * TIMEOUT


def test_a_mail_that_goes_out_too_slowly_is_not_sent_and_the_error_tells_the_seconds(
    serving: Any, client_of: Any
) -> None:
    client = client_of(serving(reading(1_000_000, OK)).url, TIMEOUT, min_upload_rate=20_000_000)
    outcome = failed_in_time(client, TIMEOUT + 1.0, b"x" * 20_000_000)
    assert_transient(outcome, "WriteTimeout", ambiguous=False)
    assert outcome.message == "The request was not sent whole: it took longer than 1.4 s."


def test_an_answer_to_a_large_mail_that_never_comes_is_in_doubt_and_the_error_tells_the_seconds(
    serving: Any, client_of: Any
) -> None:
    client = client_of(serving(reading(1e9, None)).url, TIMEOUT, min_upload_rate=2_000_000)
    outcome = failed_in_time(client, TIMEOUT + 0.5, b"x" * 1_000_000)
    assert_transient(outcome, "ReadTimeout", ambiguous=True)
    assert outcome.message == "No answer within 0.9 s."


def test_a_gateway_that_takes_a_large_mail_at_once_has_time_to_hand_it_on(
    serving: Any, client_of: Any
) -> None:
    def gateway(connection: socket.socket) -> None:
        read_request(connection)
        time.sleep(2 * TIMEOUT)
        connection.sendall(OK)

    client = client_of(serving(gateway).url, TIMEOUT, min_upload_rate=100_000)
    assert client.send_body(b"x" * 1_000_000) == Sent(200, message_id="m-1")


def test_a_connection_for_a_large_mail_is_waited_for_no_longer_than_for_a_small_one(
    serving: Any, client_of: Any
) -> None:
    server = serving(silent)
    client = client_of(f"https://localhost:{server.port}", TIMEOUT, min_upload_rate=1000)
    outcome = failed_in_time(client, TIMEOUT, b"x" * 1_000_000)
    assert_transient(outcome, "TlsHandshakeFailed", ambiguous=False)
    assert f"it took longer than {TIMEOUT:g} s" in outcome.message
