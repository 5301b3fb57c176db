"""The records as JSON over HTTP: what is told, to whom, and for how long."""

from __future__ import annotations

import json

import pytest
import requests

from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import mail, send
from support.waiting import PATIENCE


def test_the_records_tell_requests_mails_and_counts(ses: SimulatorServer, http: requests.Session) -> None:
    send(http, ses.url, "429.a@faults.example", text="eins")
    send(http, ses.url, "ooto@simulator.amazonses.com", text="zwei")
    shown = http.get(ses.url + "/_simulator/requests", timeout=PATIENCE).json()["requests"]
    assert [(request["status"], request["code"], request["recipients"]) for request in shown] == [
        (429, "TooManyRequestsException", ["429.a@faults.example"]),
        (200, None, ["ooto@simulator.amazonses.com"]),
    ]
    [accepted] = http.get(ses.url + "/_simulator/mails", timeout=PATIENCE).json()["mails"]
    assert accepted["request"] == json.loads(mail("ooto@simulator.amazonses.com", text="zwei"))
    assert accepted["events"] == {"ooto@simulator.amazonses.com": "auto-reply"}
    assert http.get(ses.url + "/_simulator/stats", timeout=PATIENCE).json() == {
        "requests": 2,
        "mails": 1,
        "recipients": 1,
        "answers": {"200": 1, "429 TooManyRequestsException": 1},
        "kept": {"requests": 2, "mails": 1},
    }
    [later] = http.get(ses.url + "/_simulator/requests?after=1", timeout=PATIENCE).json()["requests"]
    assert later["number"] == 2
    assert http.get(ses.url + "/_simulator/mails?after=x", timeout=PATIENCE).status_code == 400


def test_clearing_forgets_records_and_scripts(ses: SimulatorServer, http: requests.Session) -> None:
    send(http, ses.url, "429.a@faults.example")
    assert http.delete(ses.url + "/_simulator", timeout=PATIENCE).status_code == 200
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
def test_the_records_are_served_under_loopback_names_alone(
    ses: SimulatorServer, http: requests.Session, host: str, status: int
) -> None:
    for path in ("/_simulator/mails", "/_simulator/requests", "/_simulator/stats"):
        assert http.get(ses.url + path, headers={"Host": host}, timeout=PATIENCE).status_code == status
    assert (
        http.delete(ses.url + "/_simulator", headers={"Host": host}, timeout=PATIENCE).status_code == status
    )


def test_the_records_refuse_other_paths_and_methods(ses: SimulatorServer, http: requests.Session) -> None:
    assert http.get(ses.url + "/_simulator/other", timeout=PATIENCE).status_code == 404
    assert http.post(ses.url + "/_simulator/mails", timeout=PATIENCE).status_code == 405
    assert http.get(ses.url + "/_simulators", timeout=PATIENCE).json()["message"].startswith("No operation")


def test_only_the_last_records_are_kept(http: requests.Session) -> None:
    with SimulatorServer(keep=2) as ses:
        for number in range(4):
            send(http, ses.url, f"a{number}@example.com")
        assert [m.recipients for m in ses.mails] == [("a2@example.com",), ("a3@example.com",)]
        assert [request.number for request in ses.requests] == [3, 4]
