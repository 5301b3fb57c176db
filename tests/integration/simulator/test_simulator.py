"""The simulator over real sockets: botocore's signatures, every fault, the console, the command."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rq_ses_worker.simulator.listener import MAX_BODY
from rq_ses_worker.simulator.options import Credential
from rq_ses_worker.simulator.server import SimulatorServer
from support.waiting import wait_for

KEY, SECRET = "AKIDSIMULATOR", "simulator-secret"
PATH = "/v2/email/outbound-emails"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(error_shape="header") as server:
        yield server


def mail(*to: str, sender: str = "Alerts <alerts@example.com>", text: str = "Body") -> bytes:
    simple = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": text}}}
    request = {"FromEmailAddress": sender, "Destination": {"ToAddresses": to}, "Content": {"Simple": simple}}
    return json.dumps(request).encode()


def signed(
    url: str,
    body: bytes = b"",
    method: str = "POST",
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = "us-east-1",
) -> dict[str, str]:
    request = AWSRequest(method, url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(key, secret, token), "ses", region).add_auth(request)
    return dict(request.headers.items())


def send(
    http: requests.Session, base_url: str, *to: str, text: str = "Body", **signing: Any
) -> requests.Response:
    body = mail(*to, text=text)
    return http.post(base_url + PATH, data=body, headers=signed(base_url + PATH, body, **signing), timeout=10)


def get_account(http: requests.Session, base_url: str) -> requests.Response:
    url = base_url + "/v2/email/account"
    return http.get(url, headers=signed(url, method="GET"), timeout=10)


def told(response: requests.Response) -> tuple[int, str | None, Any]:
    return response.status_code, response.headers.get("x-amzn-ErrorType"), response.json().get("message")


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
    answer = _raw(ses.url, f"POST {prefix}{PATH} HTTP/1.1", headers, body)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert ses.requests[0].path == prefix + PATH


def test_a_whole_url_as_the_target_is_verified_by_its_path(ses: SimulatorServer) -> None:
    url, body = urlsplit(ses.url), mail("anna@example.com")
    headers = signed(ses.url + PATH, body) | {"Host": url.netloc, "Content-Length": str(len(body))}
    assert _raw(ses.url, f"POST {ses.url}{PATH} HTTP/1.1", headers, body).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_asks_first_is_told_to_continue(ses: SimulatorServer) -> None:
    url, body = urlsplit(ses.url), mail("anna@example.com")
    headers = signed(ses.url + PATH, body) | {"Host": url.netloc, "Content-Length": str(len(body))}
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"POST {PATH} HTTP/1.1\r\n{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def _raw(base_url: str, line: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    url = urlsplit(base_url)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
        connection.sendall(f"{line}\r\n{head}Connection: close\r\n\r\n".encode() + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_a_compressed_body_is_verified_as_it_was_sent(ses: SimulatorServer, http: requests.Session) -> None:
    body = gzip.compress(mail("anna@example.com"))
    headers = signed(ses.url + PATH, body) | {"Content-Encoding": "gzip"}
    response = http.post(ses.url + PATH, data=body, headers=headers, timeout=10)
    assert told(response)[:2] == (400, "SerializationException")
    assert ses.requests[0].verdict == "ok"


def test_a_wrong_signature_is_refused_and_nothing_is_accepted(
    ses: SimulatorServer, http: requests.Session
) -> None:
    assert told(send(http, ses.url, "429.a@faults.example", secret="wrong")) == (
        403,
        "InvalidSignatureException",
        MISMATCH,
    )
    assert ses.mails == []
    [request] = ses.requests
    assert (request.verdict, request.status) == ("InvalidSignatureException", 403)
    assert request.recipients == ("429.a@faults.example",)


def test_a_request_without_authorization_or_by_a_stranger_is_refused(
    ses: SimulatorServer, http: requests.Session
) -> None:
    bare = http.post(ses.url + PATH, data=mail("anna@example.com"), timeout=10)
    assert told(bare) == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert told(send(http, ses.url, "anna@example.com", key="AKIDSTRANGER")) == (
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    assert told(send(http, ses.url, "anna@example.com", region="us-east-2")) == (
        403,
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'us-east-2'. ",
    )


def test_several_credentials_are_known_each_with_its_token(http: requests.Session) -> None:
    known = (Credential("AKIDA", "a"), Credential("AKIDB", "b", "token/of+b="))
    with SimulatorServer(credentials=known) as ses:
        assert send(http, ses.url, "anna@example.com", key="AKIDA", secret="a").status_code == 200
        assert send(http, ses.url, "anna@example.com", key="AKIDB", secret="b").status_code == 403
        with_token = send(http, ses.url, "anna@example.com", key="AKIDB", secret="b", token="token/of+b=")
        assert with_token.status_code == 200


def test_a_skewed_clock_is_told_with_the_right_date(http: requests.Session) -> None:
    with SimulatorServer(error_shape="header", clock_offset=3600) as ses:
        response = send(http, ses.url, "anna@example.com")
    status, code, message = told(response)
    assert (status, code) == (403, "InvalidSignatureException")
    server_time = parsedate_to_datetime(response.headers["Date"])
    assert abs((server_time - datetime.now(UTC)).total_seconds() - 3600) < 60
    stamp = response.request.headers["X-Amz-Date"]
    assert message.startswith(f"Signature expired: {stamp} is now earlier than ")
    assert message.endswith(f"({server_time:%Y%m%dT%H%M%SZ} - 5 min.)")


def test_an_unknown_operation_is_refused_in_the_form_of_ses(
    ses: SimulatorServer, http: requests.Session
) -> None:
    for method, path in [("GET", PATH), ("POST", "/v2/email/account"), ("POST", "/"), ("POST", PATH + "/")]:
        response = http.request(method, ses.url + path, timeout=10)
        assert told(response)[:2] == (404, "UnknownOperationException")
        assert response.headers["x-amzn-RequestId"]


def test_errors_come_in_both_shapes_by_turns(http: requests.Session) -> None:
    with SimulatorServer() as ses:
        first, second = (send(http, ses.url, "429x2.a@faults.example") for _ in range(2))
    assert first.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
    assert first.json() == {"message": "Maximum sending rate exceeded."}
    assert "x-amzn-ErrorType" not in second.headers
    assert second.json() == {
        "__type": "TooManyRequestsException",
        "Message": "Maximum sending rate exceeded.",
    }


def test_errors_keep_to_the_body_when_told_to(http: requests.Session) -> None:
    with SimulatorServer(error_shape="body") as ses:
        for _ in range(2):
            response = http.post(ses.url + PATH, timeout=10)
            assert response.json()["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    ("script", "answers"),
    [
        ("429x2.a", [(429, "TooManyRequestsException", "Maximum sending rate exceeded.")] * 2),
        ("quota", [(429, "TooManyRequestsException", "Daily message quota exceeded")]),
        ("throttle", [(400, "ThrottlingException", "Rate exceeded")]),
        (
            "500",
            [
                (
                    500,
                    "InternalFailure",
                    "The request processing has failed because of an unknown error, exception or failure.",
                )
            ],
        ),
        (
            "429x1+503x2.a",
            [(429, "TooManyRequestsException", "Maximum sending rate exceeded.")]
            + [
                (
                    503,
                    "ServiceUnavailable",
                    "The request has failed due to a temporary failure of the server.",
                )
            ]
            * 2,
        ),
        ("418", [(418, "BadRequestException", "The request was answered with status 418.")]),
        ("599", [(599, "InternalFailure", "The request was answered with status 599.")]),
    ],
)
def test_a_recipient_tells_what_happens_and_then_the_mail_is_accepted(
    ses: SimulatorServer, http: requests.Session, script: str, answers: list[Any]
) -> None:
    address = f"{script}@faults.example"
    assert [told(send(http, ses.url, "x@example.com", address)) for _ in answers] == answers
    assert ses.mails == []
    assert send(http, ses.url, "x@example.com", address).status_code == 200
    assert [request.attempt for request in ses.requests] == list(range(1, len(answers) + 2))
    assert [request.code for request in ses.requests] == [code for _, code, _ in answers] + [None]
    assert ses.mails[0].attempt == len(answers) + 1


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        (
            "reject.a",
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            "reject.a@faults.example",
        ),
        (
            "paused.a",
            "SendingPausedException",
            "The message can't be sent because the account's ability to send email is currently paused.",
        ),
        (
            "suspended.a",
            "AccountSuspendedException",
            "The message can't be sent because the account's ability to send email has been permanently "
            "restricted.",
        ),
    ],
)
def test_a_terminal_refusal_happens_every_time(
    ses: SimulatorServer, http: requests.Session, script: str, code: str, message: str
) -> None:
    for _ in range(3):
        assert told(send(http, ses.url, f"{script}@faults.example")) == (400, code, message)


def test_a_load_balancers_page_is_html_without_a_word_of_ses(
    ses: SimulatorServer, http: requests.Session
) -> None:
    response = send(http, ses.url, "html502.a@faults.example")
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "text/html"
    assert "502 Bad Gateway" in response.text
    assert not [name for name in response.headers if name.lower().startswith("x-amzn")]


def test_a_mistyped_script_is_told_instead_of_sent(ses: SimulatorServer, http: requests.Session) -> None:
    status, code, message = told(send(http, ses.url, "429y2.a@faults.example"))
    assert (status, code) == (400, "BadRequestException")
    assert message.startswith("'429y2' is not a step")


def test_a_dropped_mail_is_accepted_once_and_never_answered(
    ses: SimulatorServer, http: requests.Session
) -> None:
    with pytest.raises(requests.ConnectionError, match="Remote end closed connection without response"):
        send(http, ses.url, "drop.a@faults.example")
    assert [m.recipients for m in ses.mails] == [("drop.a@faults.example",)]
    assert (ses.requests[0].status, ses.requests[0].message_id) == (None, ses.mails[0].message_id)
    assert send(http, ses.url, "drop.a@faults.example").status_code == 200
    assert len(ses.mails) == 2


def test_a_reset_comes_before_the_mail_is_accepted(ses: SimulatorServer, http: requests.Session) -> None:
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        send(http, ses.url, "reset.a@faults.example")
    assert ses.mails == []
    assert (ses.requests[0].status, ses.requests[0].fault) == (None, "reset")
    assert send(http, ses.url, "reset.a@faults.example").status_code == 200


def test_a_slow_answer_takes_its_time_while_others_are_served(
    ses: SimulatorServer, http: requests.Session
) -> None:
    took: list[float] = []

    def wait_for_the_answer() -> None:
        with requests.Session() as session:
            session.trust_env = False
            start = time.monotonic()
            assert send(session, ses.url, "slow-0.6.a@faults.example").status_code == 200
            took.append(time.monotonic() - start)

    slow = threading.Thread(target=wait_for_the_answer)
    slow.start()
    [accepted] = wait_for(lambda: ses.mails, what="the slow mail is accepted before it is answered")
    assert send(http, ses.url, "anna@example.com").status_code == 200
    slow.join()
    assert accepted.recipients == ("slow-0.6.a@faults.example",)
    assert took[0] >= 0.6
    assert ses.requests[0].answered_at - ses.requests[0].at >= 0.6


def test_a_server_with_a_slow_answer_under_way_stops(http: requests.Session) -> None:
    ses = SimulatorServer()
    ses.start()

    def send_slowly() -> None:
        with pytest.raises(requests.ConnectionError):
            send(http, ses.url, "slow-60.a@faults.example")

    slow = threading.Thread(target=send_slowly)
    slow.start()
    wait_for(lambda: ses.mails)
    ses.stop()
    slow.join(10)
    assert not slow.is_alive()


def test_a_test_can_script_any_address(ses: SimulatorServer, http: requests.Session) -> None:
    ses.faults.script("anna@example.com", ["503"])
    assert [send(http, ses.url, "Anna <anna@example.com>").status_code for _ in range(2)] == [503, 200]


def test_a_rate_limited_mail_keeps_its_step(http: requests.Session) -> None:
    with SimulatorServer(error_shape="header", rate=0.001) as ses:
        assert send(http, ses.url, "503.a@faults.example").status_code == 503
        assert send(http, ses.url, "anna@example.com").status_code == 200
        limited = send(http, ses.url, "drop.a@faults.example")
        assert told(limited) == (429, "TooManyRequestsException", "Maximum sending rate exceeded.")
        ses.clear()
        with pytest.raises(requests.ConnectionError):
            send(http, ses.url, "drop.a@faults.example")


def test_the_quota_ends_the_day(http: requests.Session) -> None:
    with SimulatorServer(error_shape="header", quota=2) as ses:
        assert send(http, ses.url, "a@example.com", "b@example.com").status_code == 200
        exceeded = send(http, ses.url, "c@example.com")
        assert told(exceeded) == (429, "TooManyRequestsException", "Daily message quota exceeded")
        assert get_account(http, ses.url).json()["SendQuota"] == {
            "Max24HourSend": 2.0,
            "MaxSendRate": 1_000_000.0,
            "SentLast24Hours": 2.0,
        }


def test_the_sandbox_rejects_who_is_not_verified(http: requests.Session) -> None:
    with SimulatorServer(error_shape="header", sandbox=True, verified=["example.com"]) as ses:
        assert send(http, ses.url, "anna@example.com", "bounce+1@simulator.amazonses.com").status_code == 200
        assert told(send(http, ses.url, "to@example.net")) == (
            400,
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            "to@example.net",
        )
        assert get_account(http, ses.url).json()["ProductionAccessEnabled"] is False
        assert ses.mails[0].events == {"bounce+1@simulator.amazonses.com": "bounce"}


def test_get_account_must_be_signed_too(ses: SimulatorServer, http: requests.Session) -> None:
    response = get_account(http, ses.url)
    assert response.status_code == 200
    assert response.json()["SendingEnabled"] is True
    assert told(http.get(ses.url + "/v2/email/account", timeout=10))[:2] == (
        403,
        "MissingAuthenticationTokenException",
    )


def test_a_body_beyond_the_limit_is_refused_unread(ses: SimulatorServer) -> None:
    url = urlsplit(ses.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
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
    assert _raw(ses.url, f"POST {PATH} HTTP/1.1", headers).startswith(b"HTTP/1.0 400 ")
    assert "LEAK" not in caplog.text
    assert ses.requests == []


def test_a_client_that_leaves_in_the_middle_is_not_logged(
    http: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatorServer() as ses:
        url = urlsplit(ses.url)
        head = f"POST {PATH} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 100\r\n"
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 100")
            connection.sendall(b"{")
        assert send(http, ses.url, "anna@example.com").status_code == 200
    assert caplog.text == ""
    assert len(ses.requests) == 1


def test_the_console_shows_requests_mails_and_counts(ses: SimulatorServer, http: requests.Session) -> None:
    send(http, ses.url, "429.a@faults.example", text="eins")
    send(http, ses.url, "ooto@simulator.amazonses.com", text="zwei")
    shown = http.get(ses.url + "/_simulator/requests", timeout=10).json()["requests"]
    assert [(request["status"], request["code"], request["recipients"]) for request in shown] == [
        (429, "TooManyRequestsException", ["429.a@faults.example"]),
        (200, None, ["ooto@simulator.amazonses.com"]),
    ]
    [accepted] = http.get(ses.url + "/_simulator/mails", timeout=10).json()["mails"]
    assert accepted["request"] == json.loads(mail("ooto@simulator.amazonses.com", text="zwei"))
    assert accepted["events"] == {"ooto@simulator.amazonses.com": "auto-reply"}
    assert http.get(ses.url + "/_simulator/stats", timeout=10).json() == {
        "requests": 2,
        "mails": 1,
        "recipients": 1,
        "answers": {"200": 1, "429 TooManyRequestsException": 1},
        "kept": {"requests": 2, "mails": 1},
    }
    [later] = http.get(ses.url + "/_simulator/requests?after=1", timeout=10).json()["requests"]
    assert later["number"] == 2
    assert http.get(ses.url + "/_simulator/mails?after=x", timeout=10).status_code == 400


def test_clearing_forgets_records_and_stories(ses: SimulatorServer, http: requests.Session) -> None:
    send(http, ses.url, "429.a@faults.example")
    assert http.delete(ses.url + "/_simulator", timeout=10).status_code == 200
    assert ses.requests == []
    assert send(http, ses.url, "429.a@faults.example").status_code == 429
    assert ses.requests[0].attempt == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LOCALHOST:4579", 200),
        ("[::1]:1", 200),
        ("mail.attacker.example", 403),
        ("127.0.0.1.attacker.example:80", 403),
        ("localhost.attacker.example", 403),
        ("", 403),
        ("192.0.2.1", 403),
    ],
)
def test_the_console_answers_to_loopback_names_alone(
    ses: SimulatorServer, http: requests.Session, host: str, status: int
) -> None:
    for path in ("/_simulator/mails", "/_simulator/requests", "/_simulator/stats"):
        assert http.get(ses.url + path, headers={"Host": host}, timeout=10).status_code == status
    assert http.delete(ses.url + "/_simulator", headers={"Host": host}, timeout=10).status_code == status


def test_the_console_refuses_other_paths_and_methods(ses: SimulatorServer, http: requests.Session) -> None:
    assert http.get(ses.url + "/_simulator/other", timeout=10).status_code == 404
    assert http.post(ses.url + "/_simulator/mails", timeout=10).status_code == 405
    assert http.get(ses.url + "/_simulators", timeout=10).json()["message"].startswith("No operation")


def test_no_secret_and_no_authorization_is_kept(http: requests.Session) -> None:
    with SimulatorServer("AKIDX", "very-secret", "my-session-token") as ses:
        signing = {"key": "AKIDX", "secret": "very-secret", "token": "my-session-token"}
        response = send(http, ses.url, "anna@example.com", **signing)
        wrong = send(http, ses.url, "anna@example.com", **(signing | {"secret": "other"}))
        pages = [
            http.get(f"{ses.url}/_simulator/{page}", timeout=10).text
            for page in ("requests", "mails", "stats")
        ]
        kept = "\n".join([*pages, response.text, wrong.text, repr(ses.requests), repr(ses.mails)])
    assert response.status_code == 200
    assert wrong.status_code == 403
    for secret in ("very-secret", "my-session-token", response.request.headers["Authorization"][-64:]):
        assert secret not in kept


def test_only_the_last_records_are_kept(http: requests.Session) -> None:
    with SimulatorServer(keep=2) as ses:
        for number in range(4):
            send(http, ses.url, f"a{number}@example.com")
        assert [m.recipients for m in ses.mails] == [("a2@example.com",), ("a3@example.com",)]
        assert [request.number for request in ses.requests] == [3, 4]


def test_a_port_that_is_taken_is_an_error_of_the_test(ses: SimulatorServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        SimulatorServer(port=urlsplit(ses.url).port or 0).start()


COMMAND = (
    "import sys; from rq_ses_worker.simulator.cli import simulator; simulator(sys.argv[1:], prog_name='x')"
)


def _environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_SES_"))}
    return plain | more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_url_serves_logs_and_stops(
    http: requests.Session, tmp_path: Path, number: signal.Signals
) -> None:
    environment = _environment(
        AWS_ACCESS_KEY_ID="AKIDENV",
        AWS_SECRET_ACCESS_KEY="env-secret",
        AWS_SESSION_TOKEN="env-token",
        AWS_REGION="eu-west-1",
        RQ_SES_SIMULATOR_LOG="1",
        RQ_SES_SIMULATOR_VERIFIED="example.com example.net",
    )
    errors = tmp_path / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "--port", "0", "--error-shape", "header"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.removeprefix("simulator listening on ").rstrip("\n")
        signing = {"key": "AKIDENV", "secret": "env-secret", "token": "env-token", "region": "eu-west-1"}
        assert send(http, url, "anna@example.org", **signing).status_code == 200
        assert send(http, url, "429.a@faults.example", **signing).status_code == 429
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""
    accepted, limited = errors.read_text().splitlines()
    assert "POST /v2/email/outbound-emails 200 0100" in accepted
    assert limited.endswith("429 TooManyRequestsException attempt 1 to 429.a@faults.example")
    assert "env-secret" not in errors.read_text()
    assert "env-token" not in errors.read_text()


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--access-key-id", "AKIDOPT", "--secret-access-key", "opt-secret"], {}),
        (
            [],
            {"RQ_SES_SIMULATOR_ACCESS_KEY_ID": "AKIDOPT", "RQ_SES_SIMULATOR_SECRET_ACCESS_KEY": "opt-secret"},
        ),
        (["--access-key-id", "AKIDOPT"], {"RQ_SES_SIMULATOR_SECRET_ACCESS_KEY": "opt-secret"}),
    ],
)
def test_a_token_left_over_in_the_shell_is_not_joined_to_another_key(
    http: requests.Session, options: list[str], variables: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--port", "0", *options],
        env=_environment(AWS_SESSION_TOKEN="left-over", **variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("simulator listening on ").rstrip("\n")
        assert send(http, url, "anna@example.org", key="AKIDOPT", secret="opt-secret").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_command_says_when_the_port_is_taken(ses: SimulatorServer) -> None:
    port = str(urlsplit(ses.url).port)
    ended = _run("--port", port)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert f"Can't listen on 127.0.0.1 port {port}: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--access-key-id", "AKID"], {}),
        ([], {"AWS_SECRET_ACCESS_KEY": "half-a-pair"}),
        (["--rate", "-1"], {}),
        (["--rate", "nan"], {}),
        (["--skew", "1e12"], {}),
        (["--keep", "0"], {}),
        (["--error-shape", "both"], {}),
        ([], {"RQ_SES_SIMULATOR_QUOTA": "many"}),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(
    arguments: list[str], environment: dict[str, str]
) -> None:
    ended = _run(*arguments, **environment)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Error: " in ended.stderr
    assert "half-a-pair" not in ended.stderr


def test_the_help_has_an_example_for_every_option() -> None:
    from rq_ses_worker.simulator.cli import simulator

    for parameter in simulator.params:
        text = getattr(parameter, "help", None) or ""
        assert "e.g. " in text, parameter.name
        assert parameter.envvar, parameter.name
    assert _run("--help").returncode == 0
