"""Each transition of an account's gate: bucket, day, breaker, probes, a hand's, and the order of queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Outbox, contract
from rq_ses.gate import _FLOW, _FLOW_NAMES, GateState, close_breaker, open_breaker, read_gate
from rq_ses_worker.account.gate import STREAK, GatePolicy
from rq_ses_worker.lifecycle.records import Claim, Settlement, Word, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.account import Account
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.mails.mail import mail, status
from support.waiting import wait_for

QUEUES = ["mail-high", "mail", "mail-bulk"]
SENT, BUSY = Sent(200, message_id="m"), Transient(503, "ServiceUnavailable", "Busy.")
PAUSED = Terminal(400, "SendingPausedException", "The account is paused.")
LIMITED = RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
REJECTED = Terminal(400, "MessageRejected", "No.")
KEY = contract.account_key("default", "eu-west-1")


class Story:
    """Two workers of one account, and a way to let its time pass."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.ours, self.other = self.worker("aaaaaaaa"), self.worker("bbbbbbbb")

    def worker(self, prefix: str, *, asks: bool = False, **policy: Any) -> Lifecycle:
        gate = GatePolicy(region="eu-west-1", **policy)
        return Lifecycle(self.redis, QUEUES, prefix, prefix, 30.0, gate=gate, asks=asks)

    def enqueue(self, count: int, recipients: int = 1, queue: str = "mail") -> list[str]:
        copies = [f"c{n}@example.com" for n in range(recipients - 1)]
        outbox = Outbox(connection=self.redis, queue=queue)
        return [r.job_id for r in outbox.send_many([mail(cc=copies) for _ in range(count)])]

    @property
    def gate(self) -> GateState:
        return read_gate(self.redis, "default", "eu-west-1")

    def flow(self) -> dict[str, float]:
        return dict(zip(_FLOW_NAMES, _FLOW.unpack(self.redis.hget(KEY, "flow") or b""), strict=True))

    def change(self, **values: float) -> None:
        self.redis.hset(KEY, "flow", _FLOW.pack(*{**self.flow(), **values}.values()))

    def passes(self, seconds: float) -> None:
        """Let the gate believe that everything happened so much earlier."""
        flow = self.flow()
        moments = [name for name in flow if name.endswith("_at") and flow[name]] + ["answered", "refused"]
        self.change(**{name: flow[name] - seconds for name in moments if flow[name]})
        for name in ("since", "next_probe", "probe_until", "closed_at"):
            moment = self.redis.hget(KEY, name)
            if moment:
                self.redis.hset(KEY, name, float(moment) - seconds)

    def probe_is_due(self) -> None:
        self.redis.hset(KEY, "next_probe", 1)

    def end(
        self, claims: Sequence[Claim], *outcomes: Outcome | None, worker: Lifecycle | None = None
    ) -> list[Word]:
        endings = []
        for claim, outcome in zip(claims, outcomes, strict=True):
            action: Any = "sent" if outcome == SENT else "failed" if outcome == REJECTED else "back"
            fields = (
                sent_fields({}) if action == "sent" else failed_fields("no") if action == "failed" else {}
            )
            meta = {"attempts": 1} if fields else {}
            fields = fields or {"fresh": int(claim.fresh)}
            now = datetime.now(UTC)
            endings.append(
                Settlement(claim.lease, action, now, meta, fields, outcome=outcome, probe=claim.probe)
            )
        return (worker or self.ours).settle(endings, clock=time.monotonic())

    def fails(self, times: int, outcome: Outcome = BUSY) -> None:
        for _ in range(times):
            claims, _ = self.ours.claim(1)
            self.end(claims, outcome)

    def opened(self) -> None:
        self.enqueue(3)
        self.fails(1, PAUSED)
        assert self.gate.breaker == "open"

    def lease_ends(self, claim: Claim) -> None:
        member = f"{claim.lease.job_id}:{claim.lease.execution}"
        self.redis.zadd(contract.leases_key(QUEUES[claim.lease.queue]), {member: 1}, xx=True)

    def probing(self) -> Claim:
        self.opened()
        self.probe_is_due()
        [claim], _ = self.ours.claim(5)
        assert claim.probe
        return claim


@pytest.fixture
def account(redis: Redis) -> Story:
    return Story(redis)


def learn(worker: Lifecycle, rate: float, quota: float = -1.0, sent: float = 0.0) -> None:
    worker.learn(Account(rate, quota, sent, True, True, "HEALTHY"), ask_again=300.0)


# The bucket


def test_without_a_known_rate_everything_passes(account: Story) -> None:
    account.enqueue(50)
    assert len(account.ours.claim(50)[0]) == 50
    assert account.gate.rate is None


def test_the_bucket_is_shared_and_holds_a_tenth_of_a_second(account: Story) -> None:
    learn(account.ours, 100.0)
    account.enqueue(50)
    first = len(account.ours.claim(50)[0])
    assert 10 <= first <= 12
    assert len(account.other.claim(50)[0]) <= 5
    view = account.ours.view
    account.other.claim(50)
    assert (account.other.view.refusal, account.other.view.waiting) == ("rate", True)
    assert 0 < account.other.view.wait <= 0.06
    assert view.refusal == "rate"
    left = int(account.redis.llen(contract.queue_key("mail")))
    account.passes(10)
    assert 10 <= len(account.other.claim(50)[0]) <= 12
    assert int(account.redis.llen(contract.queue_key("mail"))) < left


def test_what_the_gate_refuses_stays_queued_and_untouched(account: Story) -> None:
    learn(account.ours, 1.0)
    first, second = account.enqueue(2)
    before = account.redis.hgetall(contract.JOB_PREFIX + second)
    claims, dropped = account.ours.claim(2)
    assert ([claim.lease.job_id for claim in claims], dropped) == ([first], 0)
    assert account.redis.hgetall(contract.JOB_PREFIX + second) == before
    assert account.redis.lrange(contract.queue_key("mail"), 0, -1) == [second.encode()]
    assert 0.9 < account.ours.view.wait <= 1.0


def test_a_heavy_mail_passes_and_leaves_the_bucket_in_debt(account: Story) -> None:
    learn(account.ours, 10.0)
    account.enqueue(2, recipients=50)
    assert len(account.ours.claim(2)[0]) == 1
    assert 4.5 < account.ours.view.wait <= 5.0
    account.passes(4.5)
    assert account.ours.claim(2)[0] == []
    account.passes(0.6)
    assert len(account.ours.claim(2)[0]) == 1


def test_a_rate_of_the_settings_goes_over_what_ses_says(account: Story) -> None:
    slow = account.worker("cccccccc", max_send_rate=1.0)
    learn(slow, 1000.0)
    account.enqueue(5)
    assert len(slow.claim(5)[0]) == 1
    assert account.gate.max_send_rate == 1.0


def test_a_number_of_recipients_that_is_none_counts_within_reason(account: Story) -> None:
    learn(account.ours, 1.0)
    ids = account.enqueue(4)
    for job_id, recipients in zip(ids, ("-5", "many", "1e300", "nan"), strict=True):
        account.redis.hset(contract.JOB_PREFIX + job_id, contract.RECIPIENTS_FIELD, recipients)
    for _ in ids:
        assert len(account.ours.claim(1)[0]) == 1
        account.passes(60)


def test_a_server_whose_clock_was_set_back_blocks_nothing(account: Story) -> None:
    learn(account.ours, 100.0)
    account.enqueue(30)
    account.ours.claim(5)
    account.passes(-50_000)
    assert account.ours.claim(2)[0]
    account.fails(1, PAUSED)
    account.passes(-50_000)
    assert account.ours.claim(1)[0][0].probe


def test_a_clock_set_back_by_less_than_an_hour_delays_no_probe_and_keeps_no_lowered_rate(
    account: Story,
) -> None:
    learn(account.ours, 100.0)
    account.enqueue(5)
    account.fails(1, LIMITED)
    account.passes(0.5)
    account.fails(1, PAUSED)
    account.passes(-3000)
    assert account.ours.claim(1)[0][0].probe
    assert account.gate.rate == 100.0


def test_a_rate_next_to_nothing_makes_nobody_spin(account: Story) -> None:
    learn(account.ours, 1e-200)
    account.enqueue(2)
    account.ours.claim(1)
    assert account.ours.claim(1)[0] == []
    assert account.ours.view.wait == 3600.0


def test_workers_of_other_queues_take_no_tokens_away_from_under_a_heavy_mail(account: Story) -> None:
    policy = GatePolicy(region="eu-west-1", max_send_rate=100.0)
    high = Lifecycle(account.redis, ["mail-high"], "c", "c", 30.0, gate=policy)
    bulk = Lifecycle(account.redis, ["mail-bulk"], "d", "d", 30.0, gate=policy)
    account.enqueue(1, recipients=10, queue="mail-high")
    account.enqueue(60, queue="mail-bulk")
    bulk.claim(16)
    while not high.claim(1)[0]:
        bulk.claim(16)
        assert account.redis.llen(contract.queue_key("mail-bulk")) > 40, "it waits for a full bucket"


def test_a_hash_that_is_none_is_named(account: Story) -> None:
    account.redis.set(KEY, "text")
    account.enqueue(1)
    with pytest.raises(ResponseError, match=f"{KEY} is no hash: delete it"):
        account.ours.claim(1)


def test_outcomes_are_written_even_if_the_gate_cannot_learn_of_them(
    account: Story, caplog: pytest.LogCaptureFixture
) -> None:
    account.enqueue(2)
    claims, _ = account.ours.claim(2)
    account.redis.delete(KEY)
    account.redis.set(KEY, "text")
    # Nor does the server know the scripts.
    account.redis.script_flush()
    assert account.end(claims, SENT, BUSY) == ["done", "done"]
    assert f"can't learn how attempts ended: WRONGTYPE {KEY}" in caplog.text


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(account: Story) -> None:
    account.enqueue(1)
    claims, _ = account.ours.claim(1)
    account.redis.script_flush()
    assert account.end(claims, PAUSED) == ["done"]
    assert account.gate.breaker == "open"


def test_a_packed_field_of_garbage_begins_anew(account: Story) -> None:
    account.redis.hset(KEY, mapping={"flow": "garbage", "fails": "x", "opened": "y", "state": "z"})
    account.enqueue(3)
    assert len(account.ours.claim(3)[0]) == 3
    assert account.gate.breaker == "closed"


# 429


def test_a_429_lowers_the_rate_for_everybody_and_it_grows_back(account: Story) -> None:
    learn(account.ours, 100.0)
    account.enqueue(40)
    account.fails(1, LIMITED)
    assert account.gate.rate == pytest.approx(70, abs=2)
    assert account.other.claim(1)[0] == []
    account.fails(0)
    account.passes(1.0)
    assert account.gate.rate == pytest.approx(75, abs=2)
    account.passes(9.0)
    assert account.gate.rate == 100.0
    assert account.gate.failures == 0


def test_429s_of_one_second_lower_it_once(account: Story) -> None:
    learn(account.ours, 1000.0)
    account.enqueue(10)
    claims, _ = account.ours.claim(10)
    account.end(claims[:5], *[LIMITED] * 5)
    account.end(claims[5:], *[LIMITED] * 5)
    assert account.gate.rate == pytest.approx(700, abs=30)
    account.passes(1.1)
    account.fails(1, LIMITED)
    assert account.gate.rate == pytest.approx(0.7 * 755, abs=30)


def test_without_a_known_rate_a_429_lowers_what_was_really_claimed(account: Story) -> None:
    account.enqueue(60)
    claims, _ = account.ours.claim(50)
    assert account.gate.rate is None
    account.end(claims[:1], LIMITED)
    assert account.gate.rate == pytest.approx(35, abs=3)
    account.passes(60)
    assert account.gate.rate is None


# The day


def test_the_day_is_planned_with_what_was_claimed_since_ses_was_asked(account: Story) -> None:
    asker = account.worker("cccccccc", asks=True)
    asker.claim(1)
    assert asker.view.ask
    learn(asker, 1000.0, quota=200.0, sent=195.0)
    account.enqueue(10)
    assert len(account.ours.claim(10)[0]) == 5
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("quota", True)
    assert account.gate.quota_left == 0
    asker.claim(1)
    assert not asker.view.ask
    account.passes(61)
    asker.claim(1)
    assert asker.view.ask, "SES isn't asked again though the day is used up"
    learn(asker, 1000.0, quota=200.0, sent=197.0)
    assert len(account.ours.claim(10)[0]) == 3


def test_an_answer_of_the_day_before_closes_the_gate_no_more(account: Story) -> None:
    learn(account.ours, 1000.0, quota=200.0, sent=195.0)
    account.enqueue(10)
    assert len(account.ours.claim(10)[0]) == 5
    account.ours.learn(None, ask_again=300.0)
    account.passes(86_000)
    assert account.ours.claim(10)[0] == []
    account.passes(500)
    assert len(account.ours.claim(10)[0]) == 5
    assert account.gate.quota_left is None


def test_a_heavy_mail_for_which_the_day_is_too_short_holds_up_none_that_is_more_urgent(
    account: Story,
) -> None:
    learn(account.ours, 1000.0, quota=200.0, sent=170.0)
    account.enqueue(20, queue="mail-high")
    account.enqueue(1, recipients=50)
    account.enqueue(5, queue="mail-bulk")
    assert order(account, 10) == "h" * 7 + "b" + "h" * 2
    claims, _ = account.ours.claim(20)
    # What is less urgent would eat up what it waits for.
    assert [claim.lease.queue for claim in claims] == [0] * 11
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("quota", True)
    learn(account.ours, 1000.0, quota=200.0, sent=120.0)
    assert [claim.lease.queue for claim in account.ours.claim(20)[0]] == [1, 2, 2, 2, 2]


# Asking


def test_one_worker_asks_and_the_first_mails_wait_for_the_answer(account: Story) -> None:
    first, second = account.worker("cccccccc", asks=True), account.worker("dddddddd", asks=True)
    account.enqueue(5)
    assert first.claim(5)[0] == []
    assert (first.view.ask, first.view.refusal, first.view.waiting) == (True, "asking", True)
    assert second.claim(5)[0] == []
    assert (second.view.ask, second.view.refusal) == (False, "asking")
    learn(first, 1.0)
    assert len(second.claim(5)[0]) == 1
    account.passes(299)
    second.claim(5)
    assert not second.view.ask
    account.passes(2)
    second.claim(5)
    assert second.view.ask


def test_mails_go_out_if_ses_does_not_tell_or_the_asker_dies(account: Story) -> None:
    asker = account.worker("cccccccc", asks=True)
    account.enqueue(2)
    asker.claim(1)
    account.passes(2.1)
    assert len(asker.claim(1)[0]) == 1
    assert not asker.view.ask
    account.passes(60)
    asker.claim(0)
    assert asker.view.ask
    asker.learn(None, ask_again=60.0)
    assert len(asker.claim(1)[0]) == 1
    assert account.gate.refused is not None
    assert account.gate.rate is None


# The breaker


@pytest.mark.parametrize("outcome", [PAUSED, RateLimited(429, "Throttling", "Daily quota", quota=True)])
def test_a_word_about_the_account_opens_at_once(account: Story, outcome: Outcome) -> None:
    account.enqueue(3)
    account.fails(1, outcome)
    gate = account.gate
    assert (gate.breaker, gate.manual, gate.openings) == ("open", False, 1)
    assert gate.reason.startswith(f"{outcome.code}: ")
    assert gate.next_probe_in == pytest.approx(5, abs=0.5)
    assert account.other.claim(3)[0] == []
    assert (account.other.view.refusal, account.other.view.openings) == ("open", 1)
    assert account.other.view.wait == pytest.approx(5, abs=0.5)


def test_failures_in_a_row_open_it_and_a_good_end_in_between_does_not(account: Story) -> None:
    account.enqueue(30)
    account.fails(7)
    assert account.gate.failures == 7
    account.ours.claim(0)
    account.fails(1, SENT)
    assert account.gate.failures == 0
    account.fails(7)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert account.gate.breaker == "open"
    assert account.gate.reason == "8 failures in a row, the last: ServiceUnavailable: Busy. (HTTP 503)"


def test_a_few_failures_among_very_many_good_ends_do_not_open_it(account: Story) -> None:
    account.enqueue(120)
    claims, _ = account.ours.claim(100)
    account.end(claims, *[SENT] * 100)
    account.fails(12)
    assert (account.gate.breaker, account.gate.failures) == ("closed", 12)
    # Good ends count for a second or two.
    account.passes(3)
    account.fails(1)
    assert account.gate.breaker == "open"


def test_a_streak_that_is_long_enough_opens_it_whatever_went_well_a_second_ago(account: Story) -> None:
    account.enqueue(700)
    for _ in range(6):
        claims, _ = account.ours.claim(100)
        account.end(claims, *[SENT] * 100)
    account.fails(STREAK - 1)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert account.gate.breaker == "open"
    assert account.gate.reason.startswith(f"{STREAK} failures in a row")


def test_one_domain_that_fails_for_good_among_others_does_not_open_it(account: Story) -> None:
    account.enqueue(400)
    for _ in range(40):
        claims, _ = account.ours.claim(10)
        account.end(claims, *[BUSY] * 3, SENT, *[BUSY] * 2, SENT, BUSY, SENT, SENT)
    assert account.gate.breaker == "closed"


def test_a_probe_is_one_mail_over_all_workers(account: Story) -> None:
    account.opened()
    account.probe_is_due()
    taken: list[Claim] = []
    start = threading.Barrier(2)

    def race(worker: Lifecycle) -> None:
        start.wait()
        taken.extend(worker.claim(5)[0])

    threads = [threading.Thread(target=race, args=(worker,)) for worker in (account.ours, account.other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [claim] = taken
    assert claim.probe
    assert sorted([account.ours.view.refusal, account.other.view.refusal]) == ["probe", "probing"]
    assert (account.gate.breaker, account.gate.probe) == ("half-open", claim.lease.job_id)


@pytest.mark.parametrize("outcome", [SENT, REJECTED])
def test_a_probe_that_ses_decides_on_closes_it_with_a_fresh_count(account: Story, outcome: Outcome) -> None:
    claim = account.probing()
    account.end([claim], outcome)
    gate = account.gate
    assert (gate.breaker, gate.failures, gate.next_probe) == ("closed", 0, None)
    assert gate.closed_at is not None
    assert len(account.other.claim(5)[0]) == 2
    assert account.other.view.refusal == ""


@pytest.mark.parametrize("outcome", [PAUSED, BUSY, LIMITED])
def test_a_probe_that_fails_is_followed_by_a_later_one_with_another_mail(
    account: Story, outcome: Outcome
) -> None:
    claim = account.probing()
    probed = []
    for pause in (8.0, 12.8, 20.5, 32.8, 52.4, 60.0, 60.0):
        probed.append(claim.lease.job_id)
        account.end([claim], outcome)
        assert account.gate.breaker == "open"
        assert account.gate.next_probe_in == pytest.approx(pause, abs=0.5)
        assert status(account.redis, claim.lease.job_id) == "queued"
        account.probe_is_due()
        [claim], _ = account.ours.claim(5)
        assert claim.fresh
    assert len(set(probed)) == 2
    assert all(one != other for one, other in pairwise(probed))
    assert account.gate.openings == 1


def test_a_mail_that_always_fails_keeps_the_breaker_open_for_no_other_queue(account: Story) -> None:
    account.enqueue(1, queue="mail-high")
    account.fails(1, PAUSED)
    poison = None
    for _ in range(2):
        account.probe_is_due()
        [claim], _ = account.ours.claim(1)
        poison = poison or claim.lease.job_id
        assert claim.lease.job_id == poison, "there is no other"
        account.end([claim], BUSY)
    account.enqueue(2, queue="mail-bulk")
    account.probe_is_due()
    [claim], _ = account.ours.claim(1)
    assert claim.lease.queue == 2
    account.end([claim], SENT)
    claims, _ = account.ours.claim(5)
    assert [claim.lease.job_id == poison for claim in claims] == [True, False]


def test_a_probe_whose_mail_was_never_sent_is_replaced_at_once(account: Story) -> None:
    account.end([account.probing()], None)
    assert account.gate.next_probe_in == pytest.approx(0, abs=0.1)
    assert account.other.claim(5)[0][0].probe


def test_a_probe_whose_worker_died_is_replaced_and_ends_without_a_word(account: Story) -> None:
    dead = account.probing()
    assert account.other.claim(5)[0] == []
    account.passes(31)
    account.lease_ends(dead)
    [heir], _ = account.other.claim(5)
    assert heir.probe
    account.end([dead], SENT)
    assert account.gate.breaker == "half-open"
    account.end([heir], SENT, worker=account.other)
    assert account.gate.breaker == "closed"


def test_a_probe_that_takes_longer_than_its_first_lease_is_not_replaced(account: Story) -> None:
    claim = account.probing()
    account.passes(31)
    assert account.other.claim(5)[0] == [], "its lease was renewed"
    assert account.other.view.refusal == "probing"
    account.end([claim], SENT)
    assert account.gate.breaker == "closed"


def test_a_probe_found_after_a_lost_answer_is_still_the_probe(account: Story) -> None:
    claim = account.probing()
    adopted = account.ours.adopt(claim.lease)
    assert adopted is not None
    assert adopted.probe


def test_late_answers_of_what_was_under_way_neither_close_nor_open_it(account: Story) -> None:
    account.enqueue(5)
    claims, _ = account.ours.claim(4)
    account.end(claims[:1], PAUSED)
    account.end(claims[1:3], SENT, PAUSED)
    assert (account.gate.breaker, account.gate.openings) == ("open", 1)
    account.probe_is_due()
    probe, _ = account.ours.claim(1)
    account.end([*claims[3:], *probe], PAUSED, SENT)
    assert account.gate.breaker == "closed"


def test_a_probe_passes_an_empty_bucket_and_a_used_up_day(account: Story) -> None:
    learn(account.ours, 1.0, quota=10.0, sent=5.0)
    account.enqueue(3)
    account.fails(1, PAUSED)
    learn(account.ours, 1.0, quota=10.0, sent=10.0)
    account.probe_is_due()
    assert account.ours.claim(1)[0][0].probe


def test_two_accounts_on_one_server_have_two_gates(account: Story) -> None:
    account.opened()
    elsewhere = account.worker("cccccccc", account="other")
    assert len(elsewhere.claim(1)[0]) == 1


# By hand


def test_a_breaker_opened_by_hand_makes_no_probes_until_a_hand_closes_it(account: Story) -> None:
    account.enqueue(3)
    account.ours.claim(1)
    open_breaker(account.redis, "default", "eu-west-1", "wait\nfor <me>")
    gate = account.gate
    assert (gate.breaker, gate.manual, gate.reason, gate.next_probe) == ("open", True, "wait for ‹me›", None)
    account.passes(100_000)
    assert account.ours.claim(3)[0] == []
    assert (account.ours.view.refusal, account.ours.view.waiting) == ("manual", True)
    assert close_breaker(account.redis, "default", "eu-west-1")
    assert not close_breaker(account.redis, "default", "eu-west-1")
    assert len(account.ours.claim(3)[0]) == 2


def test_a_hand_that_opens_it_during_a_probe_has_the_last_word(account: Story) -> None:
    claim = account.probing()
    open_breaker(account.redis, "default", "eu-west-1", "mine")
    account.end([claim], SENT)
    assert (account.gate.breaker, account.gate.reason) == ("open", "mine")


def test_after_a_hand_closed_it_failures_are_counted_anew(account: Story) -> None:
    account.opened()
    close_breaker(account.redis, "default", "eu-west-1")
    account.fails(7)
    assert account.gate.breaker == "closed"
    account.fails(1)
    assert (account.gate.breaker, account.gate.openings) == ("open", 2)


# Several queues


def order(account: Story, count: int) -> str:
    return "".join("hmb"[account.ours.claim(1)[0][0].lease.queue] for _ in range(count))


def test_lower_queues_have_every_eighth_turn_between_them(account: Story) -> None:
    for queue in QUEUES:
        account.enqueue(30, queue=queue)
    assert order(account, 32) == "hhhhhhhb" + "hhhhhhhm" + "hhhhhhhb" + "hhhhhhhm"
    claims, _ = account.ours.claim(20)
    assert [claim.lease.queue for claim in claims] == [0, 0, *[1] * 5, 2, *[1] * 7, 2, *[1] * 4]


def test_an_urgent_mail_goes_before_any_number_of_others(account: Story) -> None:
    account.enqueue(100, queue="mail-bulk")
    assert order(account, 30) == "b" * 30
    account.enqueue(1, queue="mail-high")
    account.enqueue(1, queue="mail")
    assert order(account, 4) == "hmbb"


def test_an_urgent_mail_goes_before_a_turn_that_is_due(account: Story) -> None:
    account.enqueue(20)
    account.enqueue(20, queue="mail-bulk")
    assert order(account, 7) == "m" * 7
    account.enqueue(1, queue="mail-high")
    assert order(account, 3) == "hbm"
    assert order(account, 6) == "m" * 6
    account.enqueue(3, queue="mail-high")
    # Not even these starve the lower ones, whose turn it is one after the other.
    assert order(account, 5) == "hmhhm"


def test_a_turn_is_kept_while_the_gate_is_shut(account: Story) -> None:
    learn(account.ours, 1.0)
    account.enqueue(20, queue="mail-high")
    account.enqueue(20, queue="mail-bulk")
    taken = ""
    for _ in range(16):
        taken += order(account, 1)
        assert account.ours.claim(1)[0] == []
        account.passes(10)
    assert taken == "hhhhhhhb" * 2


# Reading


def test_the_rate_in_use_is_that_of_the_last_seconds(account: Story) -> None:
    account.enqueue(40, recipients=2)
    account.ours.claim(10)
    account.passes(1.0)
    account.ours.claim(10)
    assert account.gate.rate_in_use == pytest.approx(40, rel=0.2)
    account.passes(10)
    assert account.gate.rate_in_use == 0


def test_reading_changes_nothing(account: Story) -> None:
    assert read_gate(account.redis, "nobody", "nowhere").breaker == "closed"
    assert account.redis.keys("*") == []
    account.opened()
    before = account.redis.hgetall(KEY)
    wait_for(lambda: account.gate.open_for)
    assert account.redis.hgetall(KEY) == before
