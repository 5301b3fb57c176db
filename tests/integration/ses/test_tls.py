"""Over TLS every certificate is verified, and a handshake that breaks has sent nothing."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Sent, Terminal
from support.servers.sockets import OK, Answering, Handler
from support.ses.attempts import BODY, assert_transient


def test_over_tls_mails_go_over_one_kept_connection(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str
) -> None:
    server = serving(Answering(), tls)
    client = client_of(server.url, ca_bundle=ca)
    assert [client.send_body(BODY) for _ in range(5)] == [Sent(200, message_id="m-1")] * 5
    assert server.connections == 1


def test_a_certificate_of_an_unknown_authority_is_refused_for_good(
    serving: Any, client_of: Any, tls: ssl.SSLContext
) -> None:
    handler = Answering()
    outcome = client_of(serving(handler, tls).url).send_body(BODY)
    assert type(outcome) is Terminal
    assert outcome.code == "CertificateRefused"
    assert "issuer" in outcome.message
    assert handler.requests == []


def test_a_certificate_for_another_name_is_refused_for_good(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str
) -> None:
    server = serving(Answering(), tls)
    outcome = client_of(f"https://127.0.0.1:{server.port}", ca_bundle=ca).send_body(BODY)
    assert type(outcome) is Terminal
    assert outcome.code == "CertificateRefused"


def speak_plain(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(OK)


def hang_up_at_once(connection: socket.socket) -> None:
    connection.recv(65_536)


@pytest.mark.parametrize("handler", [hang_up_at_once, speak_plain])
def test_a_handshake_that_is_broken_off_is_certainly_not_sent(
    serving: Any, client_of: Any, handler: Handler
) -> None:
    server = serving(handler)
    outcome = client_of(f"https://localhost:{server.port}").send_body(BODY)
    assert_transient(outcome, "TlsHandshakeFailed", ambiguous=False)
