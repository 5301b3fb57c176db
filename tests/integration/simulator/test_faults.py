"""Every fault that a recipient can script, over real sockets."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import PATH, send, told
from support.waiting import PATIENCE, wait_for


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
            response = http.post(ses.url + PATH, timeout=PATIENCE)
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
    slow.join(PATIENCE)
    assert not slow.is_alive()


def test_a_test_can_script_any_address(ses: SimulatorServer, http: requests.Session) -> None:
    ses.faults.script("anna@example.com", ["503"])
    assert [send(http, ses.url, "Anna <anna@example.com>").status_code for _ in range(2)] == [503, 200]
