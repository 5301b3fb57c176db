"""What becomes of a mail of which recipients are suppressed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rq_ses import Message, RawMessage
from rq_ses.deadletter.cause import cause
from rq_ses.hints import hint_for
from rq_ses.suppression import Suppressed
from rq_ses_worker.lifecycle.suppressed import allowed, refusals, refused
from rq_ses_worker.ses.outcome import Terminal

AT = datetime(2026, 11, 29, tzinfo=UTC)
BODY = b"From: a@example.com\r\n\r\nHi"


def listed(*addresses: str) -> dict[str, Suppressed]:
    return {one: Suppressed(one, "bounce", AT) for one in addresses}


def message(to: list[str], cc: list[str] | None = None, bcc: list[str] | None = None) -> Message:
    return Message(sender="a@example.com", to=to, cc=cc or [], bcc=bcc or [], subject="Hi", text="Hi")


def test_a_mail_fails_for_one_suppressed_recipient_of_several() -> None:
    outcome, dropped = allowed(
        message(["Ann@example.com", "bob@example.com"]), listed("ann@example.com"), "fail"
    )
    assert isinstance(outcome, Terminal)
    assert (outcome.code, outcome.status, outcome.ambiguous, dropped) == ("Suppressed", None, False, ())
    assert outcome.message == "on the suppression list: ann@example.com (bounce, 2026-11-29)"
    assert "`rq-ses suppression remove ADDRESS`" in (hint_for(outcome.code, outcome.message, None) or "")


def test_a_mail_goes_to_the_others_and_says_to_whom_it_does_not() -> None:
    whole = message(["Ann <Ann@Example.com>", "bob@example.com"], ["CEO <c@example.com>"], ["d@example.com"])
    left, dropped = allowed(whole, listed("ann@example.com", "c@example.com", "d@example.com"), "drop")
    assert isinstance(left, Message)
    assert (left.to, left.cc, left.bcc) == (("bob@example.com",), (), ())
    assert dropped == ("Ann@example.com", "c@example.com", "d@example.com")
    assert (left.sender, left.subject, left.text) == (whole.sender, whole.subject, whole.text)


def test_what_is_left_may_be_a_copy_alone() -> None:
    left, _ = allowed(message(["ann@example.com"], ["bob@example.com"]), listed("ann@example.com"), "drop")
    assert isinstance(left, Message)
    assert left.recipients == ("bob@example.com",)


def test_of_mime_the_envelope_counts_alone_and_its_bytes_stay() -> None:
    raw = RawMessage(data=BODY, to=["ann@example.com", "bob@example.com"])
    left, dropped = allowed(raw, listed("ann@example.com", "a@example.com"), "drop")
    assert isinstance(left, RawMessage)
    assert (left.to, left.data, dropped) == (("bob@example.com",), BODY, ("ann@example.com",))


@pytest.mark.parametrize("how", ["drop", "fail"])
def test_a_mail_that_has_nobody_left_fails_either_way(how: str) -> None:
    addresses = [f"user{n}@example.com" for n in range(7)]
    outcome, _ = allowed(message(addresses), listed(*addresses), how)  # type: ignore[arg-type]
    assert isinstance(outcome, Terminal)
    assert outcome.message.endswith("user4@example.com (bounce, 2026-11-29) and 2 more")


@pytest.mark.parametrize(("how", "suppressed"), [("off", listed("ann@example.com")), ("fail", {})])
def test_a_mail_that_nothing_is_against_stays_the_same(how: str, suppressed: dict[str, Suppressed]) -> None:
    mail = message(["ann@example.com"])
    assert allowed(mail, suppressed, how) == (mail, ())  # type: ignore[arg-type]


def test_an_error_names_what_is_known_of_an_address() -> None:
    entry = Suppressed("ann@example.com", "manual", AT, "asked by phone")
    outcome = refused([entry])
    assert outcome.message.endswith(": ann@example.com (manual, asked by phone, 2026-11-29)")
    assert cause(outcome.message, outcome.code or "") == "on the suppression list"


def test_of_mails_to_one_address_each_has_its_own_end() -> None:
    addresses = ["Ann <ANN@example.com>", "bob@example.com"]
    first, second = refusals(addresses, listed("ann@example.com"))
    assert isinstance(first, Terminal)
    assert (first.code, second) == ("Suppressed", None)
    assert refusals(addresses, {}) == [None, None]
