"""What the simulator makes of HTTP: paths, bodies, clients that leave."""

from __future__ import annotations

import gzip
import json
import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from rq_ses_worker.simulator.listener import MAX_BODY
from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import PATH, exchange_raw, mail, send, signed, told
from support.waiting import PATIENCE


def test_a_signed_mail_is_accepted_and_recorded(ses: SimulatorServer, http: requests.Session) -> None:
    before = time.time()
    response = send(http, ses.url, "anna@example.com", "Ben <ben@example.com>")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    message_id = response.json()["MessageId"]
    assert message_id[:4] == "0100"
    assert message_id.endswith("-000000")
    assert [len(part) for part in message_id.split("-")] == [16, 8, 4, 4, 4, 12, 6]
    [accepted], [request] = ses.mails, ses.requests
    assert accepted.message_id == request.message_id == message_id
    assert accepted.request == json.loads(mail("anna@example.com", "Ben <ben@example.com>"))
    assert accepted.sender == "alerts@example.com"
    assert request.recipients == accepted.recipients == ("anna@example.com", "ben@example.com")
    assert before <= request.at == accepted.at <= time.time()
    assert (request.verdict, request.status, request.code, request.attempt) == ("ok", 200, None, 1)
    assert request.request_id == response.headers["x-amzn-RequestId"]


@pytest.mark.parametrize("prefix", ["", "/mock/ses", "/a%20b/%C3%A9", "//x/../y/."])
def test_any_prefix_leads_to_the_same_account(ses: SimulatorServer, prefix: str) -> None:
    # Over a socket of our own: requests would tidy the path.
    url, body = urlsplit(ses.url), mail("anna@example.com")
    headers = signed(ses.url + prefix + PATH, body) | {"Host": url.netloc, "Content-Length": str(len(body))}
    answer = exchange_raw(ses.url, f"POST {prefix}{PATH} HTTP/1.1", headers, body)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert ses.requests[0].path == prefix + PATH


def test_a_whole_url_as_the_target_is_verified_by_its_path(ses: SimulatorServer) -> None:
    url, body = urlsplit(ses.url), mail("anna@example.com")
    headers = signed(ses.url + PATH, body) | {"Host": url.netloc, "Content-Length": str(len(body))}
    assert exchange_raw(ses.url, f"POST {ses.url}{PATH} HTTP/1.1", headers, body).startswith(
        b"HTTP/1.1 200 OK\r\n"
    )


def test_a_client_that_asks_first_is_told_to_continue(ses: SimulatorServer) -> None:
    url, body = urlsplit(ses.url), mail("anna@example.com")
    headers = signed(ses.url + PATH, body) | {"Host": url.netloc, "Content-Length": str(len(body))}
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"POST {PATH} HTTP/1.1\r\n{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_compressed_body_is_verified_as_it_was_sent(ses: SimulatorServer, http: requests.Session) -> None:
    body = gzip.compress(mail("anna@example.com"))
    headers = signed(ses.url + PATH, body) | {"Content-Encoding": "gzip"}
    response = http.post(ses.url + PATH, data=body, headers=headers, timeout=PATIENCE)
    assert told(response)[:2] == (400, "SerializationException")
    assert ses.requests[0].verdict == "ok"


def test_an_unknown_operation_is_refused_in_the_form_of_ses(
    ses: SimulatorServer, http: requests.Session
) -> None:
    for method, path in [("GET", PATH), ("POST", "/v2/email/account"), ("POST", "/"), ("POST", PATH + "/")]:
        response = http.request(method, ses.url + path, timeout=PATIENCE)
        assert told(response)[:2] == (404, "UnknownOperationException")
        assert response.headers["x-amzn-RequestId"]


def test_a_body_beyond_the_limit_is_refused_unread(ses: SimulatorServer) -> None:
    url = urlsplit(ses.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE) as connection:
        head = f"Host: {url.netloc}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
        connection.sendall(f"POST {PATH} HTTP/1.1\r\n{head}".encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"RequestEntityTooLarge" in answer
    assert ses.requests[0].status == 413


def test_junk_instead_of_http_is_answered_and_not_logged(
    ses: SimulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Host": "localhost", "Authorization": "AWS4-HMAC-SHA256 Credential=LEAK\x00ED"}
    assert exchange_raw(ses.url, f"POST {PATH} HTTP/1.1", headers).startswith(b"HTTP/1.0 400 ")
    assert "LEAK" not in caplog.text
    assert ses.requests == []


def test_a_client_that_leaves_in_the_middle_is_not_logged(
    http: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatorServer() as ses:
        url = urlsplit(ses.url)
        head = f"POST {PATH} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 100\r\n"
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 100")
            connection.sendall(b"{")
        assert send(http, ses.url, "anna@example.com").status_code == 200
    assert caplog.text == ""
    assert len(ses.requests) == 1


def test_a_port_that_is_taken_is_an_error_of_the_test(ses: SimulatorServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        SimulatorServer(port=urlsplit(ses.url).port or 0).start()
