"""Signatures by botocore, right and wrong, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from rq_ses_worker.simulator.options import Credential
from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import MISMATCH, PATH, get_account, mail, send, told
from support.waiting import PATIENCE


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
    bare = http.post(ses.url + PATH, data=mail("anna@example.com"), timeout=PATIENCE)
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


def test_get_account_must_be_signed_too(ses: SimulatorServer, http: requests.Session) -> None:
    response = get_account(http, ses.url)
    assert response.status_code == 200
    assert response.json()["SendingEnabled"] is True
    assert told(http.get(ses.url + "/v2/email/account", timeout=PATIENCE))[:2] == (
        403,
        "MissingAuthenticationTokenException",
    )


def test_no_secret_and_no_authorization_is_kept(http: requests.Session) -> None:
    with SimulatorServer("AKIDX", "very-secret", "my-session-token") as ses:
        signing = {"key": "AKIDX", "secret": "very-secret", "token": "my-session-token"}
        response = send(http, ses.url, "anna@example.com", **signing)
        wrong = send(http, ses.url, "anna@example.com", **(signing | {"secret": "other"}))
        pages = [
            http.get(f"{ses.url}/_simulator/{page}", timeout=PATIENCE).text
            for page in ("requests", "mails", "stats")
        ]
        kept = "\n".join([*pages, response.text, wrong.text, repr(ses.requests), repr(ses.mails)])
    assert response.status_code == 200
    assert wrong.status_code == 403
    for secret in ("very-secret", "my-session-token", response.request.headers["Authorization"][-64:]):
        assert secret not in kept
