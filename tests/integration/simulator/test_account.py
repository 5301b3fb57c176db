"""The account's rate, quota and sandbox, over real sockets."""

from __future__ import annotations

import pytest
import requests

from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import get_account, send, told


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
