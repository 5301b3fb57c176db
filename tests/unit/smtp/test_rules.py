"""Who may send what."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses_worker.settings.smtp import read_networks
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.access.rules import Rules
from rq_ses_worker.smtp.access.users import PasswordHash, User, Users
from rq_ses_worker.smtp.content import read_content

PASSWORD = PasswordHash(14, 8, 1, b"salt", b"digest")
ANN = User("ann", PASSWORD)
LOOPBACK = "127.0.0.0/8,::1/128"


def rules(networks: str = LOOPBACK, *, senders: str = "", users: Users | None = None) -> Rules:
    return Rules(users, read_networks(networks), frozenset(filter(None, senders.split(","))), 100)


def user(**terms: Any) -> User:
    return User("bob", PASSWORD, **terms)


SOME = Users({"ann": ANN})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_program_of_this_machine_may_send_and_log_in(address: str) -> None:
    assert rules().client(address, None) is None
    assert rules(users=SOME).login(address, encrypted=False) is None


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"]
)
def test_nobody_else_may_without_being_listed_or_logged_in(address: str) -> None:
    assert rules().client(address, None) is replies.NO_RELAY
    assert rules(users=SOME).client(address, None) is replies.LOGIN_NEEDED
    assert rules(users=SOME).client(address, ANN) is None
    assert rules(users=SOME).login(address, encrypted=False) is replies.TLS_NEEDED
    assert rules(users=SOME).login(address, encrypted=True) is None


def test_a_listed_network_may_send_and_none_means_none() -> None:
    listed = rules("10.1.0.0/16, 2001:db8::/32")
    assert listed.client("10.1.2.3", None) is None
    assert listed.client("::ffff:10.1.2.3", None) is None
    assert listed.client("2001:db8::5", None) is None
    assert listed.client("10.2.0.1", None) is replies.NO_RELAY
    assert listed.client("127.0.0.1", None) is replies.NO_RELAY
    assert rules("none", users=SOME).client("127.0.0.1", None) is replies.LOGIN_NEEDED


def test_without_users_there_is_no_login() -> None:
    assert rules().login("127.0.0.1", encrypted=True) is replies.NO_LOGIN


@pytest.mark.parametrize(
    ("sender", "allowed"),
    [
        ("Ann@Example.com", True),
        ("alerts@example.org", True),
        ("ALERTS@example.org", True),
        ("other@example.org", False),
        ("ann@sub.example.com", False),
        ("ann@example.com.evil.example", False),
    ],
)
def test_a_list_of_senders_is_kept(sender: str, allowed: bool) -> None:
    judged = rules(senders="example.com,alerts@example.org").sender(sender, None)
    assert judged is (None if allowed else replies.SENDER_NOT_ALLOWED)


def test_a_users_own_list_counts_in_place_of_the_common_one() -> None:
    own = user(senders=frozenset({"shop.example"}))
    assert rules(senders="example.com").sender("a@shop.example", own) is None
    assert rules(senders="example.com").sender("a@example.com", own) is replies.SENDER_NOT_ALLOWED
    assert rules().sender("a@example.com", own) is replies.SENDER_NOT_ALLOWED


@pytest.mark.parametrize(
    ("head", "allowed"),
    [
        (b"From: ann@example.com\r\n", True),
        (b"Subject: no From, so the envelope counts\r\n", True),
        (b"From: eve@evil.example\r\n", False),
        (b"From: ann@example.com, eve@evil.example\r\n", False),
        (b"From: <ann@example.com> eve@evil.example\r\n", False),
        (b"From: ann@example.com\r\nSender: eve@evil.example\r\n", False),
        (b"From : eve@evil.example\r\n", False),
        (b"Sender: eve@evil.example\r\n", False),
        (b"Sender: ann@example.com\r\n", True),
        (b"From: nobody\r\n", False),
    ],
)
def test_the_list_holds_for_what_readers_see_too(head: bytes, allowed: bool) -> None:
    content = read_content(head + b"\r\nx\r\n")
    listed = rules(senders="example.com")
    assert listed.content(content, None) is (None if allowed else replies.FROM_NOT_ALLOWED)
    assert rules().content(content, None) is None


def test_headers_that_are_commands_are_for_users_who_may() -> None:
    for head in (b"X-SES-CONFIGURATION-SET: a\r\n", b"X-Rq-Ses-Priority: high\r\n"):
        content = read_content(b"From: a@example.com\r\n" + head + b"\r\n")
        for who in (None, ANN):
            refusal = rules().content(content, who)
            assert refusal is not None
            assert refusal.reply.startswith(f"550 5.7.1 The header {head.split(b':')[0].decode()} is for")
        assert rules().content(content, user(headers=True)) is None
