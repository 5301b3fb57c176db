"""A batch's outcomes as the gate learns of them, and what a probe's failure does to its mail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rq_ses_worker.account.gate import Observation, View
from rq_ses_worker.engine.attempt import Attempt, judge, settlement
from rq_ses_worker.lifecycle.observation import observed
from rq_ses_worker.lifecycle.records import Lease, Settlement
from rq_ses_worker.lifecycle.retry import History, RetryPolicy
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient

SENT, BUSY = Sent(200, message_id="m"), Transient(503, "ServiceUnavailable", "Busy.")
PAUSED = Terminal(400, "SendingPausedException", "The account is paused.")
LIMITED = RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
REJECTED = Terminal(400, "MessageRejected", "No.")


def batch(*outcomes: Outcome | None, probe: int | None = None) -> list[Settlement]:
    return [
        Settlement(
            Lease(0, f"j{n}", "x1"), "back", datetime.now(UTC), {}, {}, outcome=outcome, probe=n == probe
        )
        for n, outcome in enumerate(outcomes)
    ]


def test_mails_that_were_sent_are_no_news_unless_others_failed_before() -> None:
    seen = observed(batch(SENT, SENT))
    assert seen == Observation(healthy=True)
    assert not seen.tells(View())
    assert seen.tells(View(failures=3))


def test_what_never_reached_ses_tells_nothing() -> None:
    assert observed(batch(None, None)) == Observation()
    assert not observed(batch(None)).tells(View(failures=3))


def test_failures_after_the_last_good_end_are_told_apart() -> None:
    seen = observed(batch(BUSY, SENT, BUSY, REJECTED, BUSY, BUSY))
    assert (seen.healthy, seen.failing, seen.trailing) == (True, 4, 2)
    assert seen.line == "ServiceUnavailable: Busy. (HTTP 503)"
    assert seen.tells(View())


def test_a_word_about_the_account_outweighs_later_ones() -> None:
    seen = observed(batch(BUSY, PAUSED, BUSY, SENT))
    assert (seen.account, seen.line) == (True, "SendingPausedException: The account is paused. (HTTP 400)")


def test_a_rate_limit_slows_down_and_is_no_failure() -> None:
    seen = observed(batch(LIMITED, SENT))
    assert (seen.limited, seen.failing) == (True, 0)
    assert seen.tells(View())


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(SENT, "pass"), (REJECTED, "pass"), (BUSY, "fail"), (PAUSED, "fail"), (LIMITED, "fail"), (None, "void")],
)
def test_a_probes_end_is_its_verdict(outcome: Outcome | None, verdict: str) -> None:
    seen = observed(batch(SENT, outcome, SENT, probe=1))
    assert (seen.probe, seen.verdict) == ("j1:x1", verdict)
    assert seen.tells(View())


# The mail of a probe

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def ended(
    outcome: Outcome,
    *,
    policy: RetryPolicy | None = None,
    before: History | None = None,
    expires: float | None = None,
) -> Settlement:
    policy, before = policy or RetryPolicy(), before or History(attempts=2, transient=2, other={"mine": 1})
    attempt = Attempt(before, policy, expires, probe=True)
    ending = attempt.ended(outcome, NOW.timestamp())
    return settlement(Lease(0, "j1", "x0"), attempt, ending, judge(attempt, ending))


@pytest.mark.parametrize("outcome", [BUSY, PAUSED, LIMITED])
def test_a_probe_that_fails_puts_its_mail_back_as_it_was(outcome: Outcome) -> None:
    ending = ended(outcome, before=History(attempts=10, transient=9))
    assert (ending.action, ending.meta, ending.fields) == ("back", {}, {"fresh": 0})
    assert ending.outcome is outcome


@pytest.mark.parametrize(("outcome", "action"), [(SENT, "sent"), (REJECTED, "failed")])
def test_a_probe_that_decides_ends_like_any_attempt(outcome: Outcome, action: str) -> None:
    ending = ended(outcome)
    assert (ending.action, ending.meta["attempts"]) == (action, 3)


def test_a_probes_mail_that_ses_may_have_is_held_if_so_told() -> None:
    lost = Transient(None, "ReadTimeout", "No answer.", ambiguous=True)
    ending = ended(lost, policy=RetryPolicy(on_unknown="hold"))
    assert (ending.action, ending.meta["attempts"], ending.meta["mine"]) == ("failed", 3, 1)
    assert ending.fields["exc"].startswith("outcome unknown: ReadTimeout: ")


def test_a_probe_that_ses_may_have_accepted_counts_like_any_attempt() -> None:
    lost = Transient(None, "ReadTimeout", "No answer.", ambiguous=True)
    first = ended(lost, before=History())
    assert (first.action, first.fields, first.meta["ambiguous"]) == ("retry", {"delay": 1.0}, 1)
    third = ended(lost, before=History(attempts=2, transient=2, ambiguous=2))
    assert (third.action, third.meta["ambiguous"]) == ("failed", 3)
    assert third.fields["exc"].splitlines()[0].endswith("; SES may have accepted it 3 times")


@pytest.mark.parametrize("status", [408, 503])
def test_probes_whose_failure_is_not_the_word_of_ses_send_no_mail_without_end(status: int) -> None:
    nameless = Transient(status, None, "")
    assert ended(nameless, before=History()).action == "retry"
    last = ended(nameless, before=History(attempts=9, transient=9))
    assert (last.action, last.meta["attempts"]) == ("failed", 10)


def test_a_probes_mail_whose_time_is_over_ends() -> None:
    assert "expired before" in ended(BUSY, expires=NOW.timestamp() + 0.5).fields["exc"]
    old = History(attempts=1, first_attempt_at=NOW.timestamp() - 90_000)
    assert "gave up 90000 s" in ended(PAUSED, before=old).fields["exc"]


def test_a_defect_of_ours_does_not_send_its_mail_again() -> None:
    assert ended(Terminal(None, "InternalError", "KeyError", ambiguous=True)).action == "failed"
