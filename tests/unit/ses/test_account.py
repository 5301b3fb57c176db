"""What the client asks SES about the account, and how it reads what comes back."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from rq_ses_worker.ses.account import (
    UNLIMITED,
    Account,
    AccountRefused,
    Identity,
    identity_path,
    read_account,
    read_identity,
)
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import RateLimited, Sent, Terminal, Transient
from rq_ses_worker.ses.sigv4 import Credentials
from support.ses.signed import NOW, SECRET, TOKEN, botocore_authorization

BASE = "https://email.us-east-1.amazonaws.com"
OK = Sent(200)

ACCOUNT: dict[str, Any] = {
    "DedicatedIpAutoWarmupEnabled": False,
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 12},
    "SendingEnabled": True,
}
IDENTITY: dict[str, Any] = {
    "IdentityType": "DOMAIN",
    "VerifiedForSendingStatus": True,
    "VerificationStatus": "SUCCESS",
    "DkimAttributes": {
        "SigningEnabled": True,
        "Status": "SUCCESS",
        "Tokens": ["one", "two", "three"],
        "SigningAttributesOrigin": "AWS_SES",
        "SigningHostedZone": "dkim.amazonses.com",
    },
    "MailFromAttributes": {"MailFromDomain": "mail.example.com", "MailFromDomainStatus": "SUCCESS"},
}


def test_the_account_is_asked_for_by_a_get_that_botocore_would_sign_alike(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.get(f"{BASE}/v2/email/account", json=ACCOUNT)
    assert client.get_account() == Account(14.0, 50000.0, 12.0, True, True, "HEALTHY")
    request = ses.calls[0].request
    assert request.headers["Authorization"] == botocore_authorization("GET", request.url, {}, b"", NOW)
    assert "Content-Type" not in request.headers
    assert not request.body


@pytest.mark.parametrize("name", ["example.com", "anna@example.com", "o'neill+x/y@exämple.com", "a b@c.d"])
def test_an_identity_is_asked_for_under_its_percent_encoded_name(
    ses: responses.RequestsMock, client: SesClient, name: str
) -> None:
    ses.get(BASE + identity_path(name), json=IDENTITY)
    identity = client.get_email_identity(name)
    assert identity is not None
    assert (identity.name, identity.dkim_tokens) == (name, ("one", "two", "three"))
    request = ses.calls[0].request
    assert request.url.count("/") == BASE.count("/") + 4
    assert request.headers["Authorization"] == botocore_authorization("GET", request.url, {}, b"", NOW)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_a_path_would_not_keep_is_never_asked_for(client: SesClient, name: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a domain"):
        client.get_email_identity(name)


def test_the_prefix_of_a_base_url_is_kept(ses: responses.RequestsMock) -> None:
    ses.get("http://127.0.0.1:9/gate/v2/email/account", json=ACCOUNT)
    with SesClient(Credentials("AKID", SECRET), Endpoint("us-east-1", "http://127.0.0.1:9/gate/")) as client:
        assert client.get_account().sending_enabled


def test_an_identity_that_ses_does_not_have_is_none(ses: responses.RequestsMock, client: SesClient) -> None:
    answer = {"message": "Email identity example.com does not exist."}
    ses.get(
        BASE + identity_path("example.com"),
        status=404,
        json=answer,
        headers={"x-amzn-ErrorType": "NotFoundException"},
    )
    assert client.get_email_identity("example.com") is None


def test_a_404_of_something_else_is_no_answer_about_an_identity(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.get(BASE + identity_path("example.com"), status=404, body="<html>404</html>")
    with pytest.raises(AccountRefused, match="404"):
        client.get_email_identity("example.com")


def test_a_wrong_clock_is_set_by_ses_and_how_far_it_is_off_is_told(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    expired = {"message": "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (…)"}
    date = {"Date": "Thu, 01 Jan 2026 00:20:00 GMT"}
    ses.get(f"{BASE}/v2/email/account", status=403, json=expired, headers=date)
    ses.get(f"{BASE}/v2/email/account", json=ACCOUNT, headers=date)
    assert client.clock_offset is None
    client.get_account()
    assert client.clock_offset == timedelta(minutes=20)
    assert [call.request.headers["X-Amz-Date"] for call in ses.calls] == [
        "20260101T000000Z",
        "20260101T002000Z",
    ]


def test_a_refusal_carries_how_ses_answered_without_our_secrets(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    echo = {"message": f"User is not authorized to perform: ses:GetAccount; token {TOKEN}, {SECRET}"}
    ses.get(
        f"{BASE}/v2/email/account",
        status=403,
        json=echo,
        headers={"x-amzn-ErrorType": "AccessDeniedException"},
    )
    with pytest.raises(AccountRefused) as caught:
        client.get_account()
    outcome = caught.value.outcome
    assert (type(outcome), outcome.status, outcome.code) == (Terminal, 403, "AccessDeniedException")
    for shown in (str(caught.value), repr(caught.value), outcome.message, repr(outcome)):
        assert SECRET not in shown
        assert TOKEN not in shown


def test_an_answer_that_echoes_the_token_gives_none_away(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.get(f"{BASE}/v2/email/account", json={**ACCOUNT, "EnforcementStatus": f"HEALTHY {TOKEN}"})
    assert client.get_account().enforcement_status == "HEALTHY ***"


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Transient), (302, Terminal)])
def test_no_answer_but_a_good_one_describes_an_account(
    ses: responses.RequestsMock, client: SesClient, status: int, kind: type
) -> None:
    ses.get(f"{BASE}/v2/email/account", status=status, json=ACCOUNT)
    with pytest.raises(AccountRefused) as caught:
        client.get_account()
    assert type(caught.value.outcome) is kind


def test_a_question_without_an_answer_leaves_no_mail_in_doubt(
    ses: responses.RequestsMock, client: SesClient
) -> None:
    ses.get(f"{BASE}/v2/email/account", status=500, json={})
    with pytest.raises(AccountRefused) as caught:
        client.get_account()
    assert not caught.value.outcome.ambiguous
    assert "may have accepted" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"17", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000]
)
def test_an_answer_that_is_no_object_is_a_clear_refusal(body: bytes) -> None:
    for read in (read_account, lambda outcome, body: read_identity("x.com", outcome, body)):
        with pytest.raises(AccountRefused, match=r"InvalidAnswer: .*is not a JSON object"):
            read(OK, body)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("SendQuota", None, "has no SendQuota"),
        ("SendQuota", [], "has no SendQuota"),
        ("SendQuota.MaxSendRate", None, "no number as SendQuota.MaxSendRate"),
        ("SendQuota.MaxSendRate", "14", "no number as SendQuota.MaxSendRate"),
        ("SendQuota.MaxSendRate", True, "no number as SendQuota.MaxSendRate"),
        ("SendQuota.MaxSendRate", float("nan"), "an impossible number"),
        ("SendQuota.MaxSendRate", -1, "an impossible number"),
        ("SendQuota.Max24HourSend", float("inf"), "an impossible number"),
        ("SendQuota.Max24HourSend", -2, "an impossible number"),
        ("SendQuota.SentLast24Hours", 10**400, "an impossible number"),
        ("SendingEnabled", "yes", "neither true nor false as SendingEnabled"),
        ("ProductionAccessEnabled", None, "neither true nor false as ProductionAccessEnabled"),
        ("EnforcementStatus", 3, "no text as EnforcementStatus"),
    ],
)
def test_a_member_that_is_missing_or_odd_is_a_clear_refusal(place: str, value: Any, words: str) -> None:
    answer = copy.deepcopy(ACCOUNT)
    *groups, name = place.split(".")
    inner = answer[groups[0]] if groups else answer
    inner[name] = value
    with pytest.raises(AccountRefused, match=words):
        read_account(OK, json.dumps(answer).encode())
    del inner[name]
    with pytest.raises(AccountRefused, match=name):
        read_account(OK, json.dumps(answer).encode())


def test_an_unlimited_quota_stays_what_ses_calls_it() -> None:
    answer = {**ACCOUNT, "SendQuota": {**ACCOUNT["SendQuota"], "Max24HourSend": -1}}
    assert read_account(OK, json.dumps(answer).encode()).max_24_hour_send == UNLIMITED


def test_an_identity_without_dkim_and_mail_from_is_whole() -> None:
    body = json.dumps({"IdentityType": "EMAIL_ADDRESS", "VerifiedForSendingStatus": False}).encode()
    expected = Identity(
        "a@b.com", "EMAIL_ADDRESS", False, "PENDING", False, "", (), "", "", mail_from_domain="",
        mail_from_status="",
    )  # fmt: skip
    assert read_identity("a@b.com", OK, body) == expected


def test_texts_of_an_identity_are_inert() -> None:
    answer = copy.deepcopy(IDENTITY)
    answer["DkimAttributes"]["Tokens"] = ["<script>\x1b[31m" * 100] * 1000
    identity = read_identity("a@b.com", OK, json.dumps(answer).encode())
    assert identity is not None
    assert len(identity.dkim_tokens) == 20
    assert not {"<", "\x1b"} & set("".join(identity.dkim_tokens))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ACCOUNT, *ACCOUNT["SendQuota"], *IDENTITY]), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(answer=_JSON)
def test_nothing_but_a_refusal_is_raised_whatever_is_answered(answer: Any) -> None:
    body = json.dumps(answer).encode()
    for read in (read_account, lambda outcome, body: read_identity("x.com", outcome, body)):
        with suppress(AccountRefused):
            assert isinstance(read(OK, body), Account | Identity)
