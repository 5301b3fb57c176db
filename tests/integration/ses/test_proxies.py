"""Mails go through a proxy, which alone sees its password."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from typing import Any

import pytest

from rq_ses_worker.ses.outcome import Sent, summary
from support.servers.sockets import Answering, once, read_request, silent
from support.ses.attempts import BODY, TIMEOUT, assert_transient, failed_in_time
from support.waiting import PATIENCE


class TunnelProxy:
    """A proxy that opens tunnels to one port, if it is asked with the password."""

    def __init__(self, port: int, authorization: bytes = b"") -> None:
        self._port = port
        self._authorization = authorization
        self.asked: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        asked = read_request(connection)
        self.asked.append(asked)
        if self._authorization not in asked:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(onward, connection))
            back.start()
            _pump(connection, onward)
            back.join(PATIENCE)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


# "user:pass word" in base64
PROXY_PASSWORD = b"Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n"


@pytest.mark.parametrize("encrypted", [False, True], ids=["http proxy", "https proxy"])
def test_https_goes_through_a_tunnel_of_the_proxy_which_alone_sees_its_password(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, encrypted: bool
) -> None:
    handler = Answering()
    server = serving(handler, tls)
    tunnel = TunnelProxy(server.port, PROXY_PASSWORD)
    proxy = serving(tunnel, tls if encrypted else None)
    address = proxy.url.replace("://", "://user:pass%20word@")
    client = client_of(server.url, ca_bundle=ca, proxy=address)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    assert len(tunnel.asked) == 1
    assert tunnel.asked[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.".encode())
    assert not any(b"proxy-authorization" in request.lower() for request in handler.requests)


@pytest.mark.parametrize("encrypted", [False, True], ids=["http proxy", "https proxy"])
def test_http_is_forwarded_by_the_proxy_with_the_host_that_was_signed(
    serving: Any, client_of: Any, tls: ssl.SSLContext, ca: str, encrypted: bool
) -> None:
    forwarding = Answering()
    proxy = serving(forwarding, tls if encrypted else None)
    address = proxy.url.replace("://", "://user:pass%20word@")
    client = client_of("http://ses.localhost:9/x", ca_bundle=ca, proxy=address)
    assert client.send_body(BODY) == Sent(200, message_id="m-1")
    (request,) = forwarding.requests
    assert request.startswith(b"POST http://ses.localhost:9/x/v2/email/outbound-emails HTTP/1.1\r\n")
    assert b"\r\nHost: ses.localhost:9\r\n" in request
    assert PROXY_PASSWORD in request


def test_a_proxy_that_refuses_is_certainly_not_sent_and_its_password_shown_nowhere(
    serving: Any, client_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = serving(TunnelProxy(9, b"never"))
    client = client_of("https://ses.localhost", proxy=f"http://user:hunter2@127.0.0.1:{proxy.port}")
    outcome = client.send_body(BODY)
    assert_transient(outcome, "ProxyError", ambiguous=False)
    assert "407 Proxy Authentication Required" in outcome.message
    assert "hunter2" not in f"{client!r} {summary(outcome)} {outcome.message} {caplog.text}"


def test_a_proxy_that_is_away_silent_or_hangs_up_is_certainly_not_sent(serving: Any, client_of: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in ("https://ses.localhost", "http://ses.localhost"):
        away = client_of(url, proxy=f"http://127.0.0.1:{port}").send_body(BODY)
        assert_transient(away, "ProxyError", ambiguous=False)
        assert away.message == "The proxy did not connect: Connection refused."
    mute = client_of("https://ses.localhost", TIMEOUT, proxy=serving(silent).url)
    outcome = failed_in_time(mute)
    assert_transient(outcome, "ProxyError", ambiguous=False)
    assert outcome.message == f"The proxy did not connect: it took longer than {TIMEOUT:g} s."
    closing = client_of("https://ses.localhost", proxy=serving(once(b"")).url)
    assert_transient(closing.send_body(BODY), "ProxyError", ambiguous=False)
