"""What the client does when its credentials change, end, or are missing."""

from __future__ import annotations

from typing import Any

import pytest
import responses

from rq_ses_worker.identity.provider import Grant
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import Sent, Terminal, Transient, summary

URL = "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails"
BODY = b'{"Content":{}}'
OLD = Credentials("ASIAOLDKEY", "the-old-secret-of-the-tests", "the-old-token-of-the-tests")
NEW = Credentials("ASIANEWKEY", "the-new-secret-of-the-tests", "the-new-token-of-the-tests")


class Place:
    """Gives out one set of credentials after the other, and then the last one."""

    name = "a place"

    def __init__(self, *credentials: Credentials) -> None:
        self.waiting = list(credentials)

    def load(self) -> Grant:
        return Grant(self.waiting.pop(0) if len(self.waiting) > 1 else self.waiting[0])


def client(*credentials: Credentials) -> SesClient:
    place = Place(*credentials)
    return SesClient(CredentialSource(lambda: (place, place.load())), Endpoint("us-east-1"))


def refusal(code: str, text: str = "The security token included in the request is expired") -> dict[str, Any]:
    return {"status": 403, "json": {"message": text}, "headers": {"x-amzn-ErrorType": code}}


@pytest.mark.parametrize(
    "code", ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"]
)
def test_outdated_credentials_are_replaced_and_the_mail_is_sent_once_more(
    ses: responses.RequestsMock, code: str
) -> None:
    ses.post(URL, **refusal(code))
    ses.post(URL, json={"MessageId": "m-1"})
    with client(OLD, NEW) as made:
        assert made.send_body(BODY) == Sent(200, message_id="m-1")
        assert made.send_body(BODY) == Sent(200, message_id="m-1")
    used = [call.request.headers["Authorization"].split("=")[1].split("/")[0] for call in ses.calls]
    assert used == ["ASIAOLDKEY", "ASIANEWKEY", "ASIANEWKEY"]
    tokens = [call.request.headers["X-Amz-Security-Token"] for call in ses.calls]
    assert tokens == [OLD.session_token, NEW.session_token, NEW.session_token]


def test_where_there_are_no_others_the_refusal_stands(ses: responses.RequestsMock) -> None:
    ses.post(URL, **refusal("ExpiredTokenException"))
    with client(OLD) as made:
        assert type(made.send_body(BODY)) is Terminal
    assert len(ses.calls) == 1
    with SesClient(OLD, Endpoint("us-east-1")) as fixed:
        assert type(fixed.send_body(BODY)) is Terminal
    assert len(ses.calls) == 2


def test_new_credentials_that_are_refused_too_are_not_followed_by_a_third_attempt(
    ses: responses.RequestsMock,
) -> None:
    ses.post(URL, **refusal("ExpiredTokenException"))
    with client(OLD, NEW) as made:
        assert type(made.send_body(BODY)) is Terminal
    assert len(ses.calls) == 2


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidSignatureException", "MessageRejected"])
def test_other_refusals_leave_the_credentials_alone(ses: responses.RequestsMock, code: str) -> None:
    ses.post(URL, **refusal(code))
    with client(OLD, NEW) as made:
        assert type(made.send_body(BODY)) is Terminal
        assert made.credentials.current() == OLD


def test_what_echoes_new_credentials_is_masked_as_what_echoes_old_ones(ses: responses.RequestsMock) -> None:
    echo = " ".join([*OLD.secrets, *NEW.secrets])
    ses.post(URL, **refusal("InvalidSignatureException", f"saw {OLD.session_token}"))
    ses.post(URL, **refusal("ExpiredTokenException", "ended"))
    ses.post(URL, **refusal("InvalidSignatureException", f"saw {NEW.session_token} {NEW.secret_access_key}"))
    with client(OLD, NEW) as made:
        shown = [summary(made.send_body(BODY)) for _ in range(2)]
    assert [one.count("***") for one in shown] == [1, 2]
    assert not [secret for secret in echo.split() if secret in "".join(shown)]


def test_without_credentials_a_mail_waits_and_nothing_is_sent(ses: responses.RequestsMock) -> None:
    def search() -> Any:
        raise CredentialsUnavailable([("container endpoint", "it answered HTTP 500")], lasting=False)

    with SesClient(CredentialSource(search), Endpoint("us-east-1")) as made:
        outcome = made.send_body(BODY)
    assert isinstance(outcome, Transient)
    assert (outcome.code, outcome.ambiguous) == ("CredentialsUnavailable", False)
    assert outcome.message == "no AWS credentials (container endpoint: it answered HTTP 500)"
    assert outcome.retry_after is not None
    assert 0 < outcome.retry_after <= 1
    assert len(ses.calls) == 0
