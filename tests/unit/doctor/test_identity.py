"""Under which identity a sender and a recipient stand, and what the doctor says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rq_ses_worker.doctor.sender.identity import candidates, judged_recipient, judged_sender, look_up
from rq_ses_worker.ses.account import AccountRefused, Identity
from rq_ses_worker.ses.outcome import Outcome, Transient
from support.findings import DENIED, DOMAIN, severities


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("anna@example.com", ("anna@example.com", "example.com")),
        (
            "anna+x@a.example.com",
            ("anna+x@a.example.com", "anna@a.example.com", "a.example.com", "example.com"),
        ),
        ('"a+b c"@example.com', ('"a+b c"@example.com', "example.com")),
        ("example.com", ("example.com",)),
        (
            "a@x.y.example.co.uk",
            ("a@x.y.example.co.uk", "x.y.example.co.uk", "y.example.co.uk", "example.co.uk"),
        ),
        ("a@localhost", ("a@localhost", "localhost")),
    ],
)
def test_an_address_stands_under_itself_and_the_domains_above_it(
    address: str, names: tuple[str, ...]
) -> None:
    assert candidates(address) == names


def answering(answers: dict[str, Identity | Outcome]) -> Any:
    asked: list[str] = []

    def ask(name: str) -> Identity | None:
        asked.append(name)
        answer = answers.get(name)
        if answer is None or isinstance(answer, Identity):
            return answer
        raise AccountRefused(answer)

    return ask, asked


def test_a_verified_domain_stands_for_an_unverified_address() -> None:
    address = replace(DOMAIN, name="anna@example.com", verified_for_sending=False)
    ask, _ = answering({"anna@example.com": address, "example.com": DOMAIN})
    assert look_up("anna@example.com", ask) is DOMAIN
    ask, _ = answering({"anna@example.com": address})
    assert look_up("anna@example.com", ask) is address
    ask, _ = answering({})
    assert look_up("anna@example.com", ask) is None


def test_a_policy_for_the_domain_alone_is_enough_to_find_it() -> None:
    ask, _ = answering({"anna@example.com": DENIED, "example.com": DOMAIN})
    assert look_up("anna@example.com", ask) is DOMAIN
    ask, _ = answering({"anna@example.com": DENIED, "example.com": DENIED})
    assert look_up("anna@example.com", ask) == DENIED


def test_after_a_failure_of_another_kind_nothing_more_is_asked() -> None:
    ask, asked = answering({"anna@example.com": Transient(503)})
    assert look_up("anna@example.com", ask) == Transient(503)
    assert asked == ["anna@example.com"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (DOMAIN, {"identity.sender": "ok", "identity.dkim": "ok"}),
        (None, {"identity.sender": "error"}),
        (DENIED, {"identity.sender": "info"}),
        (Transient(503), {"identity.sender": "warning"}),
        (
            replace(DOMAIN, verified_for_sending=False, verification_status="PENDING", dkim_status="PENDING"),
            {"identity.sender": "error", "identity.dkim": "warning"},
        ),
        (
            replace(DOMAIN, name="anna@example.com", dkim_signing=False),
            {"identity.sender": "ok", "identity.dkim": "warning"},
        ),
        (
            replace(DOMAIN, mail_from_domain="b.example.com", mail_from_status="FAILED"),
            {"identity.sender": "ok", "identity.dkim": "ok", "identity.mail-from": "warning"},
        ),
        (
            replace(DOMAIN, mail_from_domain="b.example.com", mail_from_status="SUCCESS"),
            {"identity.sender": "ok", "identity.dkim": "ok", "identity.mail-from": "ok"},
        ),
    ],
)
def test_a_sender_is_judged_by_its_identity(known: Any, expected: dict[str, str]) -> None:
    assert severities(judged_sender("anna@example.com", known, "us-east-1")) == expected


@pytest.mark.parametrize(
    ("recipient", "known", "severity"),
    [
        ("b@example.com", None, "error"),
        ("b@example.com", DOMAIN, "ok"),
        ("b@example.com", DENIED, "info"),
        ("success@simulator.amazonses.com", None, "ok"),
    ],
)
def test_a_recipient_of_the_sandbox_must_be_verified(recipient: str, known: Any, severity: str) -> None:
    assert severities(judged_recipient(recipient, known, "us-east-1")) == {"identity.recipient": severity}
