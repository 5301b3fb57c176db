from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses_worker.lifecycle.retry import Again, Failed, History, RetryPolicy, decide, lost_worker
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient

POLICY = RetryPolicy()
NOW = 1_800_000_000.0


def rate_limited(**fields: Any) -> RateLimited:
    return RateLimited(
        **{"status": 429, "code": "TooManyRequestsException", "message": "Slow down.", **fields}
    )


def transient(**fields: Any) -> Transient:
    return Transient(**{"status": 503, "code": "ServiceUnavailable", "message": "Busy.", **fields})


def after(*outcomes: Outcome, ended: float = NOW) -> History:
    history = History()
    for outcome in outcomes:
        history = history.after(outcome, ended)
    return history


def test_a_rate_limited_mail_is_tried_again_after_five_seconds() -> None:
    outcome = rate_limited()
    assert decide(outcome, after(outcome), POLICY, ended=NOW) == Again(5.0)


def test_a_transient_failure_is_tried_again_after_one_second() -> None:
    outcome = transient()
    assert decide(outcome, after(outcome), POLICY, ended=NOW) == Again(1.0)


def test_a_terminal_failure_is_not_tried_again_and_says_why() -> None:
    outcome = Terminal(
        status=400, code="MessageRejected", message="Email address is not verified.", request_id="r1"
    )
    decision = decide(outcome, after(outcome), POLICY, ended=NOW)
    assert decision == Failed("MessageRejected: Email address is not verified. (HTTP 400, request id r1)")


def test_delays_stay_constant_unless_backoff_is_set() -> None:
    history = after(*[transient()] * 5)
    assert decide(transient(), history, POLICY, ended=NOW) == Again(1.0)
    growing = RetryPolicy(backoff=2, max_delay=10)
    assert decide(transient(), history, growing, ended=NOW) == Again(10.0)
    assert decide(transient(), after(*[transient()] * 3), growing, ended=NOW) == Again(4.0)


def test_a_backoff_that_overflows_is_bounded() -> None:
    policy = RetryPolicy(backoff=1e9, max_attempts=10**6)
    assert decide(rate_limited(), after(*[rate_limited()] * 60), policy, ended=NOW) == Again(300.0)


def test_backoff_counts_each_kind_by_itself() -> None:
    history = after(transient(), transient(), transient(), rate_limited())
    assert decide(rate_limited(), history, RetryPolicy(backoff=2), ended=NOW) == Again(5.0)


def test_a_longer_retry_after_is_honoured_and_bounded() -> None:
    assert decide(rate_limited(retry_after=7.0), after(rate_limited()), POLICY, ended=NOW) == Again(7.0)
    assert decide(rate_limited(retry_after=2.0), after(rate_limited()), POLICY, ended=NOW) == Again(5.0)
    assert decide(rate_limited(retry_after=9e9), after(rate_limited()), POLICY, ended=NOW) == Again(300.0)


def test_transient_failures_end_at_max_attempts() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert isinstance(decide(transient(), after(*[transient()] * 2), policy, ended=NOW), Again)
    decision = decide(transient(), after(*[transient()] * 3), policy, ended=NOW)
    assert isinstance(decision, Failed)
    assert decision.line.endswith("; gave up after 3 attempts")
    assert "ServiceUnavailable: Busy." in decision.line


def test_rate_limited_attempts_do_not_count_towards_max_attempts() -> None:
    policy = RetryPolicy(max_attempts=2)
    history = after(*[rate_limited()] * 50, transient())
    assert decide(rate_limited(), history, policy, ended=NOW) == Again(5.0)


def test_give_up_after_bounds_everything() -> None:
    policy = RetryPolicy(give_up_after=60)
    history = after(rate_limited(), ended=NOW - 56).after(rate_limited(), NOW)
    decision = decide(rate_limited(), history, policy, ended=NOW)
    assert isinstance(decision, Failed)
    assert "gave up 56 s and 2 attempts after the first" in decision.line
    assert decide(rate_limited(), history, policy, ended=NOW - 1) == Again(5.0)


def test_a_mail_that_would_expire_before_its_next_attempt_fails_at_once() -> None:
    decision = decide(rate_limited(), after(rate_limited()), POLICY, ended=NOW, expires=NOW + 4.9)
    assert isinstance(decision, Failed)
    assert "expired before the next attempt" in decision.line
    assert decide(rate_limited(), after(rate_limited()), POLICY, ended=NOW, expires=NOW + 5.1) == Again(5.0)


def test_doubt_is_held_or_resent_as_the_policy_says() -> None:
    doubt = transient(status=None, code="ReadTimeout", message="no answer", ambiguous=True)
    assert decide(doubt, after(doubt), POLICY, ended=NOW) == Again(1.0)
    held = decide(doubt, after(doubt), RetryPolicy(on_unknown="hold"), ended=NOW)
    assert isinstance(held, Failed)
    assert held.line.startswith("outcome unknown: ReadTimeout")
    sure = transient()
    assert decide(sure, after(sure), RetryPolicy(on_unknown="hold"), ended=NOW) == Again(1.0)


def test_a_lost_worker_is_doubt() -> None:
    outcome = lost_worker("host.1")
    assert outcome.ambiguous
    assert "host.1" in outcome.message


def test_history_survives_its_way_through_meta() -> None:
    outcome = transient()
    history = (
        History.from_meta(b'{"mine": [1]}', fresh=True).after(rate_limited(), NOW).after(outcome, NOW + 5)
    )
    meta = history.to_meta(outcome)
    assert meta["attempts"] == 2
    assert meta["mine"] == [1]
    assert meta["last_outcome"]["code"] == "ServiceUnavailable"
    assert meta["last_outcome"]["outcome"] == "transient"
    assert History.from_meta(json.dumps(meta), fresh=False) == history


def test_a_requeued_mail_starts_anew_but_keeps_what_is_not_ours() -> None:
    meta = json.dumps({"attempts": 9, "transient": 9, "first_attempt_at": 1.0, "last_outcome": {}, "mine": 1})
    assert History.from_meta(meta, fresh=True) == History(other={"mine": 1})


@pytest.mark.parametrize(
    "meta",
    [
        b"\xff", b"[]", b"nonsense", b"[" * 100_000, b'{"attempts": -1, "first_attempt_at": NaN}',
        b'{"attempts": true, "transient": "9", "first_attempt_at": 1e999}', b"null",
    ],
)  # fmt: skip
def test_unreadable_meta_counts_as_nothing(meta: bytes) -> None:
    assert History.from_meta(meta, fresh=False) == History()


def test_a_sent_mails_meta_is_small() -> None:
    outcome = Sent(status=200, code=None, message="", request_id="r", message_id="m")
    assert History().after(outcome, NOW).to_meta(outcome) == {"attempts": 1}


def test_the_history_tells_how_often_ses_may_have_accepted_the_mail() -> None:
    refused = Transient(code="ConnectionRefused", message="The host refused the connection.")
    silent = Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True)
    once = History().after(refused, NOW)
    assert once.to_meta(refused)["ambiguous"] == 0
    twice = once.after(silent, NOW)
    assert twice.after(refused, NOW).to_meta(refused)["ambiguous"] == 1
    stored = json.dumps(twice.to_meta(silent))
    assert History.from_meta(stored, fresh=False).ambiguous == 1
    assert History.from_meta(stored, fresh=True) == History(ambiguous=1)
