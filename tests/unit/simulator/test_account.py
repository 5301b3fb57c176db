"""Rate, quota and sandbox of the simulated account, on a clock of the tests."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses_worker.simulator.api.account import DAY, Account, event_of
from rq_ses_worker.simulator.options import Credential, Options


def _accepted(account: Account, times: list[float], recipients: int = 1) -> list[bool]:
    answers = []
    for now in times:
        addresses = ["b@example.com"] * recipients
        refused = account.limit_refusal(addresses, now)
        if refused is None:
            account.charge(addresses, now)
        answers.append(refused is None)
    return answers


def test_one_identity_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(TypeError, match=r"verified: 'example.com' is one text: give a list of them"):
        Options(verified="example.com")


def test_a_burst_of_a_quarter_second_passes_and_then_the_rate() -> None:
    account = Account(Options(rate=20))
    assert _accepted(account, [100.0] * 7) == [True] * 5 + [False] * 2
    assert _accepted(account, [100.049, 100.051, 100.052]) == [False, True, False]


def test_the_burst_is_never_less_than_one_mail() -> None:
    account = Account(Options(rate=1))
    assert _accepted(account, [0.0, 0.0, 0.99, 1.0, 1.5, 2.0]) == [True, False, False, True, False, True]


def test_a_mail_to_many_is_paid_for_by_the_time_after_it() -> None:
    account = Account(Options(rate=10))
    assert _accepted(account, [0.0], recipients=50) == [True]
    assert _accepted(account, [1.0, 4.7, 4.9]) == [False, False, True]


def test_a_request_read_late_does_not_turn_the_clock_back() -> None:
    account = Account(Options(rate=1))
    assert _accepted(account, [10.0, 5.0, 10.9, 11.0]) == [True, False, False, True]


def test_the_refusals_name_rate_and_quota_alike_and_differ_in_their_text() -> None:
    account = Account(Options(rate=1, quota=1))
    account.charge(["b@example.com"], 0.0)
    quota = account.limit_refusal(["b@example.com"], 0.0)
    rate = Account(Options(rate=1))
    rate.charge(["b@example.com"], 0.0)
    limited = rate.limit_refusal(["b@example.com"], 0.0)
    assert quota is not None
    assert limited is not None
    assert (quota.status, quota.code, quota.message) == (
        429,
        "TooManyRequestsException",
        "Daily message quota exceeded",
    )
    assert (limited.status, limited.code, limited.message) == (
        429,
        "TooManyRequestsException",
        "Maximum sending rate exceeded.",
    )


def test_the_quota_counts_recipients_and_rolls_over_a_day() -> None:
    account = Account(Options(quota=3))
    assert _accepted(account, [0.0], recipients=2) == [True]
    assert _accepted(account, [10.0], recipients=2) == [False]
    assert _accepted(account, [10.5, 11.0]) == [True, False]
    assert account.sent_last_24_hours(12.0) == 3
    assert account.sent_last_24_hours(DAY + 0.5) == 1
    assert _accepted(account, [DAY + 0.5], recipients=2) == [True]


def test_the_mailbox_simulator_does_not_count_against_the_quota() -> None:
    account = Account(Options(quota=1))
    account.charge(["success@simulator.amazonses.com"], 0.0)
    assert account.sent_last_24_hours(0.0) == 0
    assert _accepted(account, [0.0]) == [True]


def test_get_account_tells_the_limits() -> None:
    account = Account(Options(rate=14, quota=50_000, sandbox=True))
    account.charge(["b@example.com"] * 3, 0.0)
    described = account.describe(1.0)
    assert described["SendQuota"] == {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 3.0}
    assert described["ProductionAccessEnabled"] is False
    assert described["SendingEnabled"] is True
    assert described["EnforcementStatus"] == "HEALTHY"
    assert Account(Options()).describe(0.0)["SendQuota"]["Max24HourSend"] == -1.0


def test_the_sandbox_refuses_unverified_senders_and_recipients_by_name() -> None:
    account = Account(Options(sandbox=True, verified=["example.com", "Anna@example.net"], region="eu-west-1"))
    assert account.identity_refusal("a@example.com", ["anna@EXAMPLE.net", "b@mail.example.com"]) is None
    refusal = account.identity_refusal("x@example.net", ["y@example.org", "a@example.com", "y@example.org"])
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.message) == (
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region EU-WEST-1: "
        "x@example.net, y@example.org",
    )


def test_in_the_sandbox_simulator_addresses_and_scripts_may_be_written_to() -> None:
    account = Account(Options(sandbox=True, verified=["example.com"]))
    open_to_all = ["bounce+label@simulator.amazonses.com", "429.a@faults.example"]
    assert account.identity_refusal("a@example.com", open_to_all) is None


def test_outside_the_sandbox_only_the_sender_is_checked_and_only_if_identities_are_given() -> None:
    assert Account(Options()).identity_refusal("x@example.net", ["y@example.org"]) is None
    account = Account(Options(verified=["example.com"]))
    assert account.identity_refusal("a@example.com", ["y@example.org"]) is None
    assert account.identity_refusal("x@notexample.com", ["y@example.org"]) is not None


@pytest.mark.parametrize(
    ("address", "event"),
    [
        ("success@simulator.amazonses.com", "delivery"),
        ("Bounce+a+b@Simulator.amazonses.com", "bounce"),
        ("complaint@simulator.amazonses.com", "complaint"),
        ("ooto@simulator.amazonses.com", "auto-reply"),
        ("suppressionlist@simulator.amazonses.com", "suppressed"),
        ("other@simulator.amazonses.com", None),
        ("bounce@example.com", None),
    ],
)
def test_simulator_addresses_have_their_events(address: str, event: str | None) -> None:
    assert event_of(address) == event


@pytest.mark.parametrize(
    "options",
    [
        {"rate": -1},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"quota": -1},
        {"skew": -1},
        {"skew": 1e12},
        {"clock_offset": float("nan")},
        {"clock_offset": 1e12},
        {"keep": 0},
        {"region": ""},
        {"error_shape": "both"},
        {"credentials": ()},
        {"credentials": (Credential("", "x"),)},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Options(**options)


def test_options_show_no_secret() -> None:
    text = repr(Options(credentials=[Credential("AKID", "very-secret", "my-token")]))
    assert "AKID" in text
    assert "very-secret" not in text
    assert "my-token" not in text
