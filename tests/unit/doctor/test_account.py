"""How the doctor judges SES's answer to GetAccount: key, clock, account."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rq_ses_worker.doctor.account import judged_account, judged_answer, judged_clock
from rq_ses_worker.ses.account import Account
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient
from support.findings import ACCOUNT, DENIED, MISMATCH, SKEWED, severities


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ACCOUNT, {"ses.signature": "ok"}),
        (DENIED, {"ses.signature": "ok", "ses.getaccount": "info"}),
        (MISMATCH, {"ses.signature": "error"}),
        (SKEWED, {"ses.signature": "error"}),
        (Terminal(403, "UnrecognizedClientException"), {"ses.signature": "error"}),
        (Terminal(403, "InvalidClientTokenId"), {"ses.signature": "error"}),
        (Terminal(403, "ExpiredTokenException"), {"ses.signature": "error"}),
        (Terminal(200, "InvalidAnswer", "…"), {"ses.signature": "error"}),
        (Terminal(418), {"ses.signature": "error"}),
        (Terminal(None, "CertificateRefused", "…"), {"ses.reached": "error"}),
        (Transient(None, "NameResolutionFailed", "…"), {"ses.reached": "error"}),
        (Transient(503, "ServiceUnavailable"), {"ses.reached": "warning"}),
        (RateLimited(429), {"ses.reached": "warning"}),
    ],
)
def test_an_answer_tells_whether_the_signature_is_accepted(
    answer: Account | Outcome, expected: dict[str, str]
) -> None:
    assert severities(judged_answer(answer, None, own_endpoint=False)) == expected


def test_a_question_without_an_answer_leaves_no_mail_in_doubt() -> None:
    for code in ("ReadTimeout", "WriteFailed", "ConnectionClosed"):
        [finding] = judged_answer(Transient(None, code, "…"), None, own_endpoint=False)
        assert finding.remedy == "look at the way from this host to SES"


def test_a_stand_in_that_knows_no_getaccount_is_warned_of() -> None:
    assert severities(judged_answer(Terminal(404), None, own_endpoint=True)) == {"ses.getaccount": "warning"}
    assert severities(judged_answer(Terminal(404), None, own_endpoint=False)) == {"ses.signature": "error"}


@pytest.mark.parametrize(
    "answer",
    [
        Terminal(400, message="Bad Request Exception", answered='application/json: {"message":"Bad'),
        Terminal(404, answered="text/html: Cannot GET /v2/email/account"),
        Terminal(404, "UnknownOperationException"),
        Terminal(403, message="Missing Authentication Token", answered="text/plain: no"),
        Terminal(200, answered="text/html: Welcome"),
        Terminal(200, "InvalidAnswer", "The answer is not a JSON object.", answered="text/plain: OK"),
        Transient(502, answered="text/html: Bad Gateway"),
        RateLimited(429, answered="text/plain: slow"),
    ],
)
def test_an_own_endpoint_that_names_no_error_is_told_with_what_it_answered(answer: Outcome) -> None:
    [finding] = judged_answer(answer, None, own_endpoint=True)
    assert (finding.id, finding.severity) == ("ses.getaccount", "warning")
    assert f"HTTP {answer.status}" in finding.text
    assert answer.answered in finding.text
    assert "RQ_SES_BASE_URL" in finding.remedy
    assert "secret" not in finding.remedy


def test_a_known_clock_tells_a_wrong_secret_from_a_wrong_clock() -> None:
    def remedy(answer: Outcome, offset: timedelta | None) -> str:
        [finding] = judged_answer(answer, offset, own_endpoint=False)
        return finding.remedy

    assert remedy(MISMATCH, timedelta(seconds=1)).startswith("the clock is right, so the secret")
    assert "clock is off" in remedy(MISMATCH, None)
    assert "clock is off" in remedy(MISMATCH, timedelta(hours=1))
    assert "NTP" in remedy(SKEWED, timedelta(0))
    region = Terminal(403, "InvalidSignatureException", "Credential should be scoped to a valid region")
    assert "AWS_REGION" in remedy(region, timedelta(0))


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [
        (0, "ok"),
        (2, "ok"),
        (-60, "ok"),
        (61, "warning"),
        (-240, "warning"),
        (241, "error"),
        (-86_400, "error"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(seconds: int, severity: str) -> None:
    [finding] = judged_clock(timedelta(seconds=seconds), ACCOUNT)
    assert finding.severity == severity
    if seconds > 2:
        assert "behind" in finding.text
    if seconds < -2:
        assert "ahead" in finding.text


def test_a_clock_that_ses_itself_found_wrong_is_an_error_however_little_it_is_off() -> None:
    assert severities(judged_clock(timedelta(seconds=30), SKEWED)) == {"clock.offset": "error"}


def test_without_an_answer_nothing_is_said_of_the_clock() -> None:
    assert list(judged_clock(None, Transient(None, "ConnectTimeout"))) == []
    assert severities(judged_clock(None, ACCOUNT)) == {"clock.offset": "info"}


@pytest.mark.parametrize(
    ("changes", "id_", "severity"),
    [
        ({"production_access": False}, "account.sandbox", "warning"),
        ({"sending_enabled": False}, "account.sending", "error"),
        ({"enforcement_status": "PROBATION"}, "account.standing", "warning"),
        ({"enforcement_status": "SHUTDOWN"}, "account.standing", "error"),
        ({"sent_last_24_hours": 40_000.0}, "account.quota", "warning"),
        ({"sent_last_24_hours": 50_000.0}, "account.quota", "error"),
        ({"max_24_hour_send": 0.0}, "account.quota", "error"),
        ({"max_send_rate": 0.0}, "account.rate", "error"),
    ],
)
def test_what_stands_in_the_way_in_the_account_is_told(
    changes: dict[str, Any], id_: str, severity: str
) -> None:
    found = severities(judged_account(replace(ACCOUNT, **changes)))
    assert {name: grave for name, grave in found.items() if grave != "ok"} == {id_: severity}


def test_an_account_in_order_and_one_without_a_limit_are_fine() -> None:
    for account in (ACCOUNT, replace(ACCOUNT, max_24_hour_send=-1.0)):
        assert set(severities(judged_account(account)).values()) == {"ok"}
